"""Declarative GitOps reconciler for SmartBear AlertSite email-server monitors."""

__version__ = "0.1.0"
