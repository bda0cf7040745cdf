import { pino } from 'pino';
import { silent, type Logger } from '../../src/lib/logger.js';

/** PORTAL_TEST_LOG=debug shows the logs of relay and agent while a test runs. */
const level = process.env['PORTAL_TEST_LOG'];
export const log: Logger = level ? pino({ level, base: null }, pino.destination(2)) : silent;
