//! What runs on a host: files, units, certificates, etcd's API.
