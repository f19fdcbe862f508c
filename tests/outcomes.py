"""Outcomes of jobs as rows of a database have them; for whoever tests what is kept and shown of a job."""

from typing import Any

from node.work.outcome import Outcome

# Word for word what the first version of the node wrote, of which the slices after the first are left out.
WRITTEN = """
{"software": "0.1.0",
 "timings_s": {"verify": 0.0167, "headers": 0.0491, "selection": 0.0297, "volume": 0.0607, "prediction": 0.5899,
  "report": 0.4309, "store": 0.0545},
 "selection": {
  "chosen": "2.25.3558656163712538185887005987730062648",
  "series": [{"series_instance_uid": "2.25.3558656163712538185887005987730062648", "series_number": 2,
   "description": "T1 MPRAGE", "modality": "MR", "instances": 64, "eligible": true, "score": 92.5, "reason": "eligible",
   "detail": "3D inversion-prepared gradient echo, TR 2300, TE 2.98, TI 900 ms, 9 degrees; 64 slices 2.50 mm apart"}],
  "unreadable": []},
 "prediction": {
  "model": {"name": "neurossl-untrained", "version": "1",
   "sha256": "fb67bc88b45d6a212696a02697b17d3fa8fe579fd3e1d4d79c2c0357112d6727", "trained": false, "temperature": 1.0,
   "dropout_samples": 10, "rollout_order": "last_to_first",
   "thresholds": {"low_confidence_spread": 0.15, "high_likelihood": 0.75, "no_significant_changes": 0.62}},
  "scope": {"inside": true, "reason": "looks like a T1-weighted head",
   "measurements": {"covered": 1.0, "head_ml": 2549.0983593749993, "top_fraction": 0.20399801377866736,
    "length_to_width": 1.2242424242424244, "texture": 0.14213916063308718, "grain": 0.404035787487513,
    "furrows": -0.4044336870369549, "mirror": 0.8168441944846195, "mirror_lead": 0.12656283945743596}},
  "probability": 0.32599386351425885, "spread": 0.16687917546784042, "predictive_entropy": 0.6439336936398607,
  "mutual_information": 0.06428750119987925, "band": "low confidence",
  "slices": [{"position_mm": -6.35, "source": "2.25.154127421327267083001357953074504446062", "frame": null,
   "probability": 0.373572, "spread": 0.180992}]},
 "attempt": 1}
"""


def series(uid: str, **values: Any) -> dict[str, Any]:
    """The verdict on one series, as a row has it."""
    return {
        "series_instance_uid": uid,
        "series_number": 3,
        "description": "T1 MPRAGE",
        "modality": "MR",
        "instances": 170,
        "eligible": True,
        "score": 92.5,
        "reason": "eligible",
        "detail": "3D inversion-prepared gradient echo",
        **values,
    }


def outcome() -> Outcome:
    """Of a study that was read, all of it made up."""
    return Outcome.model_validate_json(WRITTEN)
