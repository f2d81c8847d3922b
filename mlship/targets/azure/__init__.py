"""Microsoft Azure: what its services share. Each of them is a folder: Container Apps, Azure Machine Learning."""
