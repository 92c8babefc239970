"""The content of the exercises: notebook_NN.py holds EXERCISES and QUESTIONS of notebook NN.

    EXERCISES = {"02.1": number(...), "02.2": choice(...), "02.3": function(...)}
    QUESTIONS = [Question("...", [Option("...", True, "why"), Option("...", False, "why")]), ...]

`quiz` finds a file by the first two digits of an exercise's id and says what the
building blocks mean.
"""
