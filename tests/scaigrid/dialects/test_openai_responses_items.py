import msgspec

from scaigrid.dialects import openai_responses_answers as shapes
from scaigrid.dialects.openai_responses_items import OpenCall, OpenMessage, OpenPart, OpenThought


def test_a_part_shows_what_was_put_into_it() -> None:
    part = OpenPart(refuses=False, before=0)
    assert part.shown() == shapes.ResponseText(text="")
    part.pieces += ["It ", "rains."]
    part.logprobs.append(msgspec.Raw(b"{}"))
    citation = shapes.ResponseFileCitation(file_id="f", filename="a.pdf", index=0)
    part.annotations.append(citation)
    assert part.shown() == shapes.ResponseText(
        annotations=(citation,), logprobs=(msgspec.Raw(b"{}"),), text="It rains."
    )
    refusal = OpenPart(refuses=True, before=0)
    refusal.pieces.append("No.")
    assert refusal.shown() == shapes.ResponseRefusal("No.")


def test_an_item_begins_with_nothing_in_it() -> None:
    assert OpenMessage("msg_1", 0).shown() == shapes.ResponseMessage(id="msg_1", status="in_progress", content=())
    assert OpenThought("rs_1", 0).shown() == shapes.ResponseReasoning(id="rs_1", summary=())
    assert OpenCall("fc_1", 0, "f", "call_1").shown() == shapes.ResponseFunctionCall(
        id="fc_1", status="in_progress", arguments="", call_id="call_1", name="f"
    )


def test_an_item_shows_all_of_its_pieces_and_its_end() -> None:
    thought = OpenThought("rs_1", 0)
    thought.pieces += ["H", "m."]
    thought.sealed = "x"
    summary = (shapes.ResponseSummary("Hm."),)
    assert thought.shown() == shapes.ResponseReasoning(id="rs_1", summary=summary, encrypted_content="x")
    call = OpenCall("fc_1", 0, "f", "call_1")
    call.pieces += ['{"a"', ":1}"]
    call.status = "completed"
    assert (call.shown().arguments, call.shown().status) == ('{"a":1}', "completed")
    message = OpenMessage("msg_1", 0)
    message.parts.append(OpenPart(refuses=True, before=0))
    message.status = "incomplete"
    assert (message.shown().content, message.shown().status) == ((shapes.ResponseRefusal(""),), "incomplete")
