"""`redrepl chaos`: faults on real servers, one after another, and proof of what clients saw
meanwhile.
"""
