import { existsSync } from 'node:fs';

/** The configuration files of the two nginx: one acts as the relay, one as the agent. */

const MODULES = ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules', '/usr/share/nginx/modules'];
const BUFFER = '64k';

export function streamModule() {
  return MODULES.map((folder) => `${folder}/ngx_stream_module.so`).find((file) => existsSync(file));
}

/** Forwards TLS by its server name, without decrypting it. */
export const byServerName = ({ port, targets }) =>
  stream(`listen 127.0.0.1:${port} backlog=4096; ssl_preread on;`, '$ssl_preread_server_name', targets);

/** Terminates TLS, and forwards the bytes. */
export const endsTls = ({ port, targets, certificate }) =>
  stream(`listen 127.0.0.1:${port} ssl backlog=4096;${tls(certificate)}`, '$ssl_server_name', targets);

/** Forwards bytes in a new TLS connection, as Portal does between relay and agent for visitors without TLS. */
export const addsTls = ({ port, targets, certificate }) =>
  stream(
    `listen 127.0.0.1:${port} backlog=4096;
    proxy_ssl on;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_server_name on;
    proxy_ssl_name ${Object.keys(targets)[0]};
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate ${certificate.ca};`,
    '$server_port',
    { default: Object.values(targets)[0] },
  );

/** Terminates TLS. A reverse proxy for HTTP with kept-alive connections to the service. */
export const reverseProxy = ({ port, targets, certificate, folder }) => `http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  scgi_temp_path ${folder}/scgi;
  uwsgi_temp_path ${folder}/uwsgi;
  map $http_upgrade $upgraded { default upgrade; '' ''; }
${Object.values(targets)
  .map(
    (to, index) =>
      `  upstream s${index} { server 127.0.0.1:${to}; keepalive 64; keepalive_requests 1000000000; }`,
  )
  .join('\n')}
${Object.keys(targets)
  .map(
    (hostname, index) => `  server {
    listen 127.0.0.1:${port} ssl http2 backlog=4096;${tls(certificate)}
    server_name ${hostname};
    keepalive_requests 1000000000;
    location / {
      proxy_pass http://s${index};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $upgraded;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
    }
  }`,
  )
  .join('\n')}
}`;

const tls = ({ cert, key }) => `
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;
    ssl_conf_command Options ServerPreference;`;

const stream = (listen, by, targets) => `stream {
  access_log off;
  map_hash_max_size 16384;
  map_hash_bucket_size 128;
  proxy_buffer_size ${BUFFER};
  proxy_timeout 1h;
  map ${by} $target {
${Object.entries(targets)
  .map(([from, to]) => `    ${from} 127.0.0.1:${to};`)
  .join('\n')}
  }
  server {
    ${listen}
    proxy_pass $target;
  }
}`;

/** A whole file. Default: one worker, because a process of Portal has one thread. */
export const whole = (
  name,
  folder,
  body,
  workers = 1,
) => `${streamModule() ? `load_module ${streamModule()};` : ''}
daemon off;
worker_processes ${workers};
worker_rlimit_nofile 65536;
pid ${folder}/${name}.pid;
error_log stderr crit;
events { worker_connections 16384; }
${body}
`;
