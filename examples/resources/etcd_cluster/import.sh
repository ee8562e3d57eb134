# NAME@HOST[,HOST…]: the name of the cluster and the hosts of its members.
tofu import etcd_cluster.k8s k8s@10.0.1.10,10.0.1.11,10.0.1.12
