/**
 * A URL for each host of a database URL, in order. As in PostgreSQL's own clients, hosts are separated by commas:
 * `postgres://portal@db1:5432,db2:5432/portal`, or `?host=/folder1,/folder2` for Unix sockets
 * (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS). A node needs a host that accepts writes, so
 * `target_session_attrs` says nothing new.
 */
export function urlsOfHosts(url: string): string[] {
  const [, scheme = '', authority = '', rest = ''] = /^(\w+:\/\/)([^/?#]*)(.*)$/s.exec(url) ?? [];
  if (scheme === '') return [url];
  const at = authority.lastIndexOf('@') + 1;
  const [user, hosts] = [authority.slice(0, at), authority.slice(at).split(',')];
  const path = rest.replace(/([?&])target_session_attrs=[^&]*&?/, '$1').replace(/[?&]$/, '');
  const [, before = '', folders = '', after = ''] = /^(.*[?&]host=)([^&]*)(.*)$/s.exec(path) ?? [];
  if (folders !== '')
    return folders.split(/,|%2C/i).map((folder) => `${scheme}${user}${hosts[0]}${before}${folder}${after}`);
  return hosts.map((host) => `${scheme}${user}${host}${path}`);
}
