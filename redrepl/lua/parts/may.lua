-- Part: whether the login may do this. To ask leaves no entry in ACL LOG, as trying would.
local function may(...)
  return not redis.acl_check_cmd or redis.acl_check_cmd(...)
end
