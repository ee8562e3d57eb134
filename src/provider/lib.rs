//! The terraform-provider-etcd binary: puts the parts together.
