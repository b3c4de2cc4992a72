"""The connection types: where each points to, and the keys that its credential must have.

From the Confluent CLI at 762b3ff, pkg/flink/utils.go:
https://github.com/confluentinc/cli/blob/762b3ff/pkg/flink/utils.go
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_API_KEY = frozenset({"API_KEY"})
_AWS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"})
_BASIC = frozenset({"USERNAME", "PASSWORD"})
_BEARER = frozenset({"BEARER_TOKEN"})
_OAUTH2 = frozenset(
    {"OAUTH2_TOKEN_ENDPOINT", "OAUTH2_CLIENT_ID", "OAUTH2_CLIENT_SECRET", "OAUTH2_SCOPE"}
)


@dataclass(frozen=True, slots=True)
class Vendor:
    endpoint: str
    ways: tuple[frozenset[str], ...]
    """Alternative sets of keys, each enough to authenticate."""


VENDORS: Mapping[str, Vendor] = {
    "OPENAI": Vendor("https://api.openai.com/v1/chat/completions", (_API_KEY,)),
    "ANTHROPIC": Vendor("https://api.anthropic.com/v1/messages", (_API_KEY,)),
    "AZUREML": Vendor("https://flink.westus.inference.ml.azure.com/score", (_API_KEY,)),
    "AZUREOPENAI": Vendor(
        "https://flink.openai.azure.com/openai/deployments/gpt/chat/completions", (_API_KEY,)
    ),
    "GOOGLEAI": Vendor(
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-pro:generateContent",
        (_API_KEY,),
    ),
    "PINECONE": Vendor("https://flink.svc.us-east-1.pinecone.io/query", (_API_KEY,)),
    "FIREWORKSAI": Vendor("https://api.fireworks.ai/inference/v1/completions", (_API_KEY,)),
    "COSMOSDB": Vendor("https://flink.documents.azure.com:443/", (_API_KEY,)),
    "BEDROCK": Vendor("https://bedrock-runtime.us-east-1.amazonaws.com/model/m/invoke", (_AWS,)),
    "SAGEMAKER": Vendor(
        "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/e/invocations", (_AWS,)
    ),
    "S3VECTORS": Vendor("https://s3vectors.us-east-1.api.aws", (_AWS,)),
    "VERTEXAI": Vendor(
        "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/1:predict",
        (frozenset({"SERVICE_KEY"}),),
    ),
    "MONGODB": Vendor("mongodb+srv://flink.mongodb.net/db", (_BASIC,)),
    "COUCHBASE": Vendor("couchbases://flink.cloud.couchbase.com", (_BASIC,)),
    "CONFLUENT_JDBC": Vendor("jdbc:postgresql://flink.example.com:5432/db", (_BASIC,)),
    "ELASTIC": Vendor("https://flink.es.us-east-1.aws.elastic.cloud", (_API_KEY, _BASIC)),
    "REST": Vendor("https://rest.example.com/v1", (_BASIC, _BEARER, _OAUTH2)),
    "A2A": Vendor("https://agent.example.com", (_API_KEY, _BASIC, _BEARER, _OAUTH2)),
    "MCP_SERVER": Vendor("https://mcp.example.com", (_API_KEY, _BASIC, _BEARER, _OAUTH2)),
}


def can_authenticate(connection_type: str, data: Mapping[str, str]) -> bool:
    """Whether the credential has all keys of one way to log in; an unknown type takes anything."""
    vendor = VENDORS.get(connection_type)
    given = {key for key, value in data.items() if value}
    return bool(given) if vendor is None else any(way <= given for way in vendor.ways)
