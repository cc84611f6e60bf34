"""Weight sharing: methods that train one supernet instead of a thousand networks.

A method is one file here with one class (`base.SupernetMethod`), torch-free; what trains is a `nets.learner.Learner` in
`nets`, which is imported inside a method, in the child process of a job.
"""
