"""How the page looks: its colours, and the marks that are drawn without a script."""
