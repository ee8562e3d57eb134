# NAME@HOST: the name of the CA and the host that it runs on.
tofu import etcd_step_ca.main main@10.0.1.10
