"""SageMaker real-time endpoints: CloudWatch metrics, and the container's own lines where it prints any."""

from collectors.sagemaker.assemble import assemble
from collectors.sagemaker.fetch import Clients, fetch, fetch_usage
from collectors.sagemaker.parse import parse
from collectors.sagemaker.probe import probe

SOURCES = ("cloudwatch-logs", "cloudwatch-metrics")
COUNTED_BY_PROVIDER: frozenset[str] = frozenset()

__all__ = ["COUNTED_BY_PROVIDER", "SOURCES", "Clients", "assemble", "fetch", "fetch_usage", "parse", "probe"]
