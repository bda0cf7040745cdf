import { askHttp, converseHttp, startHttp } from './http-service.js';
import { complies } from './suite.js';

complies({
  mode: 'stream',
  start: startHttp,
  ask: askHttp,
  converse: converseHttp,
  whenDown: /^503$/,
  whenGone: /unrecognized name|ECONNRESET|ECONNREFUSED/,
  exceptions: {},
});
