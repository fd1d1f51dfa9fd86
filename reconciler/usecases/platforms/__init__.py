"""GitHub and GitLab, as far as reviewing needs them: comments, labels, issues, reviewed plans.

Rule: beside AlertSite these are the only servers that are spoken to, and only by the commands that
a pipeline calls for that. A platform decides nothing: what to write is in `core/review`.
"""

from reconciler.usecases.platforms.github import GitHub
from reconciler.usecases.platforms.gitlab import GitLab
from reconciler.usecases.platforms.rest import PlatformContext

__all__ = ["GitHub", "GitLab", "PlatformContext"]
