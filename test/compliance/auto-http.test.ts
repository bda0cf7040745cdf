import { askHttp, converseHttp, startHttp } from './http-service.js';
import { complies } from './suite.js';

complies({
  mode: 'auto',
  targets: ' with a target that speaks HTTP',
  decides: 'http',
  start: startHttp,
  ask: askHttp,
  converse: converseHttp,
  whenDown: /^503$/,
  whenGone: /unrecognized name|ECONNRESET|ECONNREFUSED/,
  exceptions: {},
});
