"""What can be called, and how that is written."""

from typing import TypedDict

from scaigrid.api import examples
from scaigrid.api.anthropic_models import AnthropicModel, AnthropicModelList, AnthropicModelsQuery
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.models import ModelItem, ModelsQuery
from scaigrid.api.oai_models import OpenAIModel, OpenAIModelList
from scaigrid.api.operation import Area, Level, Operation
from scaigrid.api.prices import PricesGiven
from scaigrid.api.resources.models import ModelGiven
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code


class _Writer(TypedDict):
    permission: str
    level: Level
    tenant_header: bool


_SLUG = {"slug": "The model's slug, or its id. Slashes may be sent as they are or as `%2F`."}
_EXAMPLE = {"slug": examples.MODEL.slug}
_GIVEN = ModelGiven(
    slug=examples.MODEL.slug,
    display_name="GPT-4o",
    context_window=128_000,
    max_output_tokens=16_384,
    prices=PricesGiven(input="2.5", output="10", cached_input="1.25"),
)
_WRITER: _Writer = {"permission": "models:manage or admin:access", "level": "tenant", "tenant_header": True}
_WRITES = (Code.NOT_FOUND, Code.STORE_UNAVAILABLE)
_CHANGES = (*_WRITES, Code.MODEL_NOT_FOUND, Code.MANAGED_BY_CONFIG)
_OWN = "Administrators of partners and tenants write those below `partner/{slug}/` and `tenant/{slug}/`."

AREA = Area(
    "Models",
    "What can be called.",
    (
        Operation(
            path="/v1/models",
            name="listModels",
            summary="The models that the key may use",
            description="By slug. Administrators see their own beside them.",
            permission="models:list",
            tenant_header=True,
            query=ModelsQuery,
            answer=ListEnvelope[ModelItem],
            example=examples.listed(examples.MODEL),
            codes=(Code.NOT_FOUND, Code.STORE_UNAVAILABLE),
        ),
        Operation(
            method="post",
            path="/v1/models",
            name="createModel",
            summary="Make a model",
            description=f"It answers nobody before it has a route. {_OWN}",
            **_WRITER,
            body=ModelGiven,
            body_example=_GIVEN,
            status=201,
            answer=Envelope[ModelItem],
            example=examples.enveloped(examples.MODEL),
            codes=(*_WRITES, Code.SLUG_CONFLICT, Code.MODEL_ACCESS_DENIED),
        ),
        Operation(
            path="/v1/models/{slug}",
            name="getModel",
            summary="One model",
            permission="models:list",
            description="With an `ETag` for those who may change it.",
            tenant_header=True,
            parameters=_SLUG,
            parameter_examples=_EXAMPLE,
            answer=Envelope[ModelItem],
            example=examples.enveloped(examples.MODEL),
            codes=(Code.MODEL_NOT_FOUND, Code.NOT_FOUND, Code.VALIDATION_ERROR, Code.STORE_UNAVAILABLE),
        ),
        Operation(
            method="put",
            path="/v1/models/{slug}",
            name="replaceModel",
            summary="Replace a model",
            description=f"What is left out gets its default; the slug stays. {_OWN}",
            **_WRITER,
            conditional=True,
            parameters=_SLUG,
            parameter_examples=_EXAMPLE,
            body=ModelGiven,
            body_example=_GIVEN,
            answer=Envelope[ModelItem],
            example=examples.enveloped(examples.MODEL),
            codes=_CHANGES,
        ),
        Operation(
            method="patch",
            path="/v1/models/{slug}",
            name="updateModel",
            summary="Change a model",
            description="A JSON Merge Patch (RFC 7396) of what PUT takes, but that null sets a field to null where it "
            f"is no mapping. {_OWN}",
            **_WRITER,
            conditional=True,
            parameters=_SLUG,
            parameter_examples=_EXAMPLE,
            body=ModelGiven,
            partial=True,
            body_example={"display_name": "GPT-4o"},
            answer=Envelope[ModelItem],
            example=examples.enveloped(examples.MODEL),
            codes=_CHANGES,
        ),
        Operation(
            method="delete",
            path="/v1/models/{slug}",
            name="deleteModel",
            summary="Delete a model",
            description=f"What is in use is not deleted: the answer names its users. {_OWN}",
            **_WRITER,
            conditional=True,
            parameters=_SLUG,
            parameter_examples=_EXAMPLE,
            status=204,
            codes=(*_CHANGES, Code.VALIDATION_ERROR, Code.CONFLICT, Code.MODEL_HAS_BACKENDS),
        ),
        Operation(
            path="/oai/v1/models",
            name="listOpenAIModels",
            summary="The models that the key can call, in OpenAI's dialect",
            description="By slug, without those that are disabled.",
            permission="models:list",
            answer=OpenAIModelList,
            example=OpenAIModelList(data=(examples.OPENAI_MODEL,)),
        ),
        Operation(
            path="/oai/v1/models/{slug}",
            name="getOpenAIModel",
            summary="One model, in OpenAI's dialect",
            permission="models:list",
            parameters=_SLUG,
            parameter_examples=_EXAMPLE,
            answer=OpenAIModel,
            example=examples.OPENAI_MODEL,
            codes=(Code.MODEL_NOT_FOUND,),
        ),
        Operation(
            path="/anthropic/v1/models",
            name="listAnthropicModels",
            summary="The chat models that the key can call, in Anthropic's dialect",
            description="By slug, without those that are disabled.",
            permission="models:list",
            query=AnthropicModelsQuery,
            answer=AnthropicModelList,
            example=AnthropicModelList(
                data=(examples.ANTHROPIC_MODEL,),
                has_more=False,
                first_id=examples.ANTHROPIC_MODEL.id,
                last_id=examples.ANTHROPIC_MODEL.id,
            ),
        ),
        Operation(
            path="/anthropic/v1/models/{slug}",
            name="getAnthropicModel",
            summary="One chat model, in Anthropic's dialect",
            permission="models:list",
            parameters=_SLUG,
            parameter_examples=_EXAMPLE,
            answer=AnthropicModel,
            example=examples.ANTHROPIC_MODEL,
            codes=(Code.MODEL_NOT_FOUND,),
        ),
    ),
)
