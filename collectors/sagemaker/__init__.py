"""SageMaker real-time endpoints: CloudWatch metrics, and the container's own lines where it prints any."""

from collectors.sagemaker.assemble import assemble
from collectors.sagemaker.fetch import Clients, fetch, fetch_usage
from collectors.sagemaker.parse import parse

SOURCES = ("cloudwatch-logs", "cloudwatch-metrics")

__all__ = ["SOURCES", "Clients", "assemble", "fetch", "fetch_usage", "parse"]
