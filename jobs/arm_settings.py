"""The settings ``[arms]`` of ``nextmart.toml``: an experiment that compares the live model with a control."""

from pydantic import BaseModel, ConfigDict, Field

from jobs.families import Family


class ArmsSettings(BaseModel):
    """An experiment, as the table ``[arms]`` of ``nextmart.toml`` describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    control: float = Field(0.1, ge=0, le=0.9)
    """Share of visitors who are in the control: a hash of `visitor_id` and `salt` chooses them, so that each visitor
    stays in the same arm."""
    control_model: Family = "popularity"
    """Family that makes the control's lists: `popularity` gives the night's popular items; another family of `models`
    gives the lists of its newest model."""
    salt: str = Field("nextmart", max_length=200)
    """Any text; with another text, other visitors are in the control."""
