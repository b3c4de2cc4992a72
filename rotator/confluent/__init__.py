"""The target: Confluent Cloud's sql/v1 API. Its words (phases, types, documents) end here."""
