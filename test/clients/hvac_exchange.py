"""hvac, as published on PyPI, against a real server. Arguments: address, root token."""

import sys

import hvac
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

url, root_token = sys.argv[1:3]
root = hvac.Client(url=url, token=root_token)
assert root.sys.is_initialized()
assert not root.sys.is_sealed()
assert root.is_authenticated()

# Secrets engines, version 1 and 2.
root.sys.enable_secrets_engine("kv", path="hv1", options={"version": "1"})
root.sys.enable_secrets_engine("kv", path="hv2", options={"version": "2"})
v1, v2 = root.secrets.kv.v1, root.secrets.kv.v2
v1.create_or_update_secret("a/b", {"n": 12345678901234567890, "t": "x"}, mount_point="hv1")
assert v1.read_secret("a/b", mount_point="hv1")["data"] == {"n": 12345678901234567890, "t": "x"}
assert v1.list_secrets("a", mount_point="hv1")["data"]["keys"] == ["b"]
v1.delete_secret("a/b", mount_point="hv1")
try:
    v1.read_secret("a/b", mount_point="hv1")
    raise AssertionError("a deleted secret was read")
except InvalidPath:
    pass

v2.configure(max_versions=5, mount_point="hv2")
assert v2.read_configuration(mount_point="hv2")["data"]["max_versions"] == 5
v2.create_or_update_secret("app", {"p": "1"}, mount_point="hv2")
v2.create_or_update_secret("app", {"p": "2"}, cas=1, mount_point="hv2")
v2.patch("app", {"q": "3"}, mount_point="hv2")
assert v2.read_secret_version("app", mount_point="hv2", raise_on_deleted_version=True)["data"]["data"] == {"p": "2", "q": "3"}
assert v2.read_secret_version("app", version=1, mount_point="hv2", raise_on_deleted_version=True)["data"]["data"] == {"p": "1"}
try:
    v2.create_or_update_secret("app", {"p": "x"}, cas=1, mount_point="hv2")
    raise AssertionError("a stale check-and-set was taken")
except InvalidRequest as error:
    assert "check-and-set parameter did not match" in str(error)
v2.delete_secret_versions("app", [2], mount_point="hv2")
v2.undelete_secret_versions("app", [2], mount_point="hv2")
v2.destroy_secret_versions("app", [1], mount_point="hv2")
v2.update_metadata("app", custom_metadata={"owner": "ann"}, mount_point="hv2")
metadata = v2.read_secret_metadata("app", mount_point="hv2")["data"]
assert metadata["current_version"] == 3 and metadata["versions"]["1"]["destroyed"] is True
assert metadata["custom_metadata"] == {"owner": "ann"}

# Policy, userpass, what a token may do.
root.sys.create_or_update_policy("hv", 'path "hv2/data/app" { capabilities = ["read"] }')
assert "hv" in root.sys.list_policies()["data"]["policies"]
root.sys.enable_auth_method("userpass", path="hvu")
root.auth.userpass.create_or_update_user("bob", "pw-bob-1", policies="hv", mount_point="hvu")
bob = hvac.Client(url=url)
bob.auth.userpass.login("bob", "pw-bob-1", mount_point="hvu")
assert bob.is_authenticated()
assert bob.lookup_token()["data"]["display_name"] == "hvu-bob"
assert bob.secrets.kv.v2.read_secret_version("app", mount_point="hv2", raise_on_deleted_version=True)["data"]["data"]["q"] == "3"
try:
    bob.secrets.kv.v2.list_secrets("", mount_point="hv2")
    raise AssertionError("a list was allowed")
except Forbidden:
    pass
assert bob.sys.get_capabilities(["hv2/data/app"])["data"]["hv2/data/app"] == ["read"]
bob.auth.token.renew_self(increment="1h")
bob.auth.token.revoke_self()
assert not bob.is_authenticated()

# AppRole.
root.sys.enable_auth_method("approle", path="hva")
approle = root.auth.approle
approle.create_or_update_approle("web", token_policies=["hv"], token_ttl="10m", secret_id_num_uses=2, mount_point="hva")
assert approle.list_roles(mount_point="hva")["data"]["keys"] == ["web"]
assert approle.read_role("web", mount_point="hva")["data"]["token_ttl"] == 600
approle.update_role_id("web", "web-1", mount_point="hva")
assert approle.read_role_id("web", mount_point="hva")["data"]["role_id"] == "web-1"
made = approle.generate_secret_id("web", metadata={"host": "h1"}, cidr_list=["127.0.0.0/8"], mount_point="hva")["data"]
assert approle.read_secret_id("web", made["secret_id"], mount_point="hva")["data"]["metadata"] == {"host": "h1"}
assert approle.list_secret_id_accessors("web", mount_point="hva")["data"]["keys"] == [made["secret_id_accessor"]]
machine = hvac.Client(url=url)
login = machine.auth.approle.login("web-1", made["secret_id"], mount_point="hva")
assert login["auth"]["metadata"] == {"host": "h1", "role_name": "web"}
assert machine.lookup_token()["data"]["policies"] == ["default", "hv"]
found = approle.read_secret_id_accessor("web", made["secret_id_accessor"], mount_point="hva")["data"]
assert found["secret_id_num_uses"] == 1
approle.destroy_secret_id_accessor("web", made["secret_id_accessor"], mount_point="hva")
approle.create_custom_secret_id("web", "own-secret-id", mount_point="hva")
approle.destroy_secret_id("web", "own-secret-id", mount_point="hva")
for gone in (made["secret_id"], "own-secret-id"):
    try:
        hvac.Client(url=url).auth.approle.login("web-1", gone, mount_point="hva")
        raise AssertionError("a destroyed secret id was taken")
    except InvalidRequest as error:
        assert "invalid role or secret ID" in str(error)
try:
    approle.read_secret_id_accessor("web", made["secret_id_accessor"], mount_point="hva")
    raise AssertionError("an accessor was found after its end")
except InvalidPath:
    pass
approle.delete_role("web", mount_point="hva")

# Wrapping.
wrapped = root.write("sys/wrapping/wrap", wrap_ttl="60s", secret="s")
token = wrapped["wrap_info"]["token"]
assert root.sys.unwrap(token)["data"] == {"secret": "s"}
try:
    root.sys.unwrap(token)
    raise AssertionError("unwrapped twice")
except InvalidRequest:
    pass

# Namespaces, mounts, audit, clearing up.
root.sys.create_namespace("hvns")
inside = hvac.Client(url=url, token=root_token, namespace="hvns")
inside.sys.enable_secrets_engine("kv", path="s", options={"version": "1"})
inside.secrets.kv.v1.create_or_update_secret("x", {"v": "in"}, mount_point="s")
assert inside.secrets.kv.v1.read_secret("x", mount_point="s")["data"]["v"] == "in"
inside.sys.disable_secrets_engine("s")
root.sys.delete_namespace("hvns")
assert "hv1/" in root.sys.list_mounted_secrets_engines()["data"]
root.sys.tune_mount_configuration("hv1", default_lease_ttl="30m")
assert root.sys.read_mount_configuration("hv1")["data"]["default_lease_ttl"] == 1800
root.sys.move_backend("hv1", "hv1-moved")
root.sys.disable_secrets_engine("hv1-moved")
print("hvac", hvac.__version__ if hasattr(hvac, "__version__") else "", "ok")
