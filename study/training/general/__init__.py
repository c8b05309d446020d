"""Train networks of any kind, many at once: fused where that is proven to change nothing, else one by one."""
