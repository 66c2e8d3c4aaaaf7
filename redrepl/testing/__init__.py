"""For tests of programs that use redrepl, and redrepl's own: histories of operations, a model, and
a checker.

`history` notes what clients asked and were told, `model` says what each operation does to a value,
and `linearizability` whether a history can be explained by operations that took effect one after
the other. Nothing here is imported by `import redrepl`.
"""
