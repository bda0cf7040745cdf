import { describe, expect, it } from 'vitest';
import { generateIdentity, identityFromPrivateKey } from '../identity/keys.js';
import { agentLine, denialIn, provenAgent, readClaim, replyLine, visitorLine } from './connect.js';
import { LIMITS } from './limits.js';

const OWNER = identityFromPrivateKey(`0x${'11'.repeat(32)}`);
const VISITOR = identityFromPrivateKey(`0x${'22'.repeat(32)}`);
const AT = { hostname: 'db.relay.example.com', channel: 'ab'.repeat(32) };
const AT_AGENT = { ...AT, agent: OWNER.address };

describe('the handshake of private access', () => {
  it('has these lines for fixed keys', () => {
    expect([
      agentLine(OWNER, AT),
      visitorLine(VISITOR, 'connect', AT_AGENT),
      visitorLine(VISITOR, 'check', AT_AGENT),
      replyLine(),
      replyLine('identity'),
    ]).toMatchInlineSnapshot(`
      [
        "agent 0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A 0xf903cf09576267df8c02376aa75bad4a48288a4bf5468bb097a080a26e76cece01065f77473ae4ef1734f94ac6ae00fcb0d522b86d7e0bcbfccaa35fb34f3de61c",
        "connect 0x1563915e194D8CfBA1943570603F7606A3115508 0xb86a7fb033ed5eaf818b92e6412fcab144ea637b7ad78c8feeac169c4ab11e77049190d9aa33a373749272d2560ea27496b1bf3d56c9ef4e62a02d677cc845841b",
        "check 0x1563915e194D8CfBA1943570603F7606A3115508 0xb86a7fb033ed5eaf818b92e6412fcab144ea637b7ad78c8feeac169c4ab11e77049190d9aa33a373749272d2560ea27496b1bf3d56c9ef4e62a02d677cc845841b",
        "ok",
        "denied identity",
      ]
    `);
  });

  it('proves the identity of each side', () => {
    expect(provenAgent(agentLine(OWNER, AT), AT)).toBe(OWNER.address);
    const claim = readClaim(visitorLine(VISITOR, 'check', AT_AGENT));
    expect(claim).toMatchObject({ purpose: 'check', address: VISITOR.address });
    expect(claim.isProven(AT_AGENT)).toBe(true);
  });

  it.each([
    ['another session', { ...AT_AGENT, channel: 'cd'.repeat(32) }],
    ['another service', { ...AT_AGENT, hostname: 'web.relay.example.com' }],
    ['another agent', { ...AT_AGENT, agent: VISITOR.address }],
  ])('rejects a proof for %s', (_what, at) => {
    expect(readClaim(visitorLine(VISITOR, 'connect', at)).isProven(AT_AGENT)).toBe(false);
  });

  it.each([
    ['another session', { ...AT, channel: 'cd'.repeat(32) }],
    ['another service', { ...AT, hostname: 'web.relay.example.com' }],
  ])('rejects the proof of an agent for %s', (_what, at) => {
    expect(() => provenAgent(agentLine(OWNER, at), AT)).toThrow(
      expect.objectContaining({ code: 'agent_untrusted' }),
    );
  });

  it('rejects a signature by another key, and one that is the proof of the other side', () => {
    const stolen = `agent ${OWNER.address} ${agentLine(VISITOR, AT).split(' ')[2]}`;
    expect(() => provenAgent(stolen, AT)).toThrow(expect.objectContaining({ code: 'agent_untrusted' }));
    const reflected = `connect ${OWNER.address} ${agentLine(OWNER, AT).split(' ')[2]}`;
    expect(readClaim(reflected).isProven(AT_AGENT)).toBe(false);
    const zero = `connect ${OWNER.address} 0x${'00'.repeat(65)}`;
    expect(readClaim(zero).isProven(AT_AGENT)).toBe(false);
  });

  it('accepts a claim in any case, and compares checksummed addresses', () => {
    const [verb, address = '', signature] = visitorLine(VISITOR, 'connect', AT_AGENT).split(' ');
    const claim = readClaim(`${verb} ${address.toLowerCase()} ${signature}`);
    expect(claim.address).toBe(VISITOR.address);
    expect(claim.isProven(AT_AGENT)).toBe(true);
  });

  it.each([
    '',
    'connect',
    'agent 0x 0x',
    `GET / HTTP/1.1`,
    `${visitorLine(VISITOR, 'connect', AT_AGENT)} `,
    ` ${visitorLine(VISITOR, 'connect', AT_AGENT)}`,
    `${visitorLine(VISITOR, 'connect', AT_AGENT)}\r`,
    agentLine(OWNER, AT),
  ])('rejects %j as the line of a visitor', (line) => {
    expect(() => readClaim(line)).toThrow(expect.objectContaining({ code: 'protocol' }));
  });

  it('reads the reason of a denial, also one of a later version', () => {
    expect(denialIn(replyLine('busy'))).toBe('busy');
    expect(denialIn('denied too_early')).toBe('too_early');
    expect(denialIn(replyLine())).toBeUndefined();
    expect(denialIn('denied <b>')).toBeUndefined();
  });

  it('fits its lines into the limit', () => {
    const longest = visitorLine(generateIdentity(), 'connect', AT_AGENT);
    expect(longest.length).toBeLessThan(LIMITS.maxConnectLineBytes);
  });
});
