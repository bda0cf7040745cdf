#!/usr/bin/env node
// Old versions of Node must be able to parse this file: no static import and no top-level await.
const MINIMUM = [20, 19];

const start = () => void import('./start.js');

const [major, minor] = process.versions.node.split('.').map(Number);
if (major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1])) {
  // Name lookups may use half of these threads, two for each name. With the default of four, one name whose DNS does
  // not respond delays all others. Node 20 has started the threads by now.
  if (process.env.UV_THREADPOOL_SIZE) start();
  else {
    process.env.UV_THREADPOOL_SIZE = '16';
    // The first job starts the threads. Programs that Portal starts do not inherit the setting.
    void import('fs').then((fs) =>
      fs.access('/', () => {
        delete process.env.UV_THREADPOOL_SIZE;
        start();
      }),
    );
  }
} else {
  process.stderr.write(
    `error: Portal needs Node ${MINIMUM.join('.')} or newer, and this is Node ${process.versions.node}. ` +
      'Install Node 24 from https://nodejs.org.\n',
  );
  process.exitCode = 2;
}
