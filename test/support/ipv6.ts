import { networkInterfaces } from 'node:os';

/** Whether this machine has the loopback address ::1. */
export const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);

export const NO_IPV6 = 'this machine has no IPv6';
