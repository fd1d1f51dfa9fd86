"""Plans, results, drift and fleets as pages."""

from reconciler.render.html.drifts import drift_html
from reconciler.render.html.fleets import report_html
from reconciler.render.html.plans import plan_html
from reconciler.render.html.results import result_html

__all__ = ["drift_html", "plan_html", "report_html", "result_html"]
