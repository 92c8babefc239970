"""The content of the exercises: notebook_NN.py holds the EXERCISES of notebook NN.

    EXERCISES = {"02.1": number(...), "02.2": choice(...), "02.3": function(...)}

Its closing quiz is notebook_NN.md. `quiz` finds both by the first two digits of an exercise's id
and says what the building blocks mean.
"""
