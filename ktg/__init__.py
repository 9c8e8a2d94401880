"""AutoML for image classification on small data: search, train and export knowledge-transfer graphs."""

__version__ = "0.1.0"
