"""Labels from the run itself: a blind sheet of its replies, and figures corrected by what people say of them."""

from rim_eval.labelling.counts import LabelCounts, count_labels
from rim_eval.labelling.draw import Draw, draw_again, is_of_patterns
from rim_eval.labelling.figures import MARGIN, LabelFigures, corrected
from rim_eval.labelling.labels import LabelFile, one_sheet, read_label_file
from rim_eval.labelling.pattern_frame import read_pattern_frames
from rim_eval.labelling.sampling_frame import SamplingFrame, choose_frame, read_frames
from rim_eval.labelling.sheet import write_sheet

__all__ = [
    "MARGIN",
    "Draw",
    "LabelCounts",
    "LabelFigures",
    "LabelFile",
    "SamplingFrame",
    "choose_frame",
    "corrected",
    "count_labels",
    "draw_again",
    "is_of_patterns",
    "one_sheet",
    "read_frames",
    "read_label_file",
    "read_pattern_frames",
    "write_sheet",
]
