'use strict';

// A member of a cluster of ringpop-node:
//
//   node member.js LISTEN ADVERTISE HOSTS SUSPECT_PERIOD_MS
//
// It listens on one address and is known by the other, so that a proxy may
// stand between. As in ringpop's own test program, SIGTERM evicts it.

const RingPop = require('ringpop');
const TChannel = require('tchannel');

const [listen, advertise, hosts, suspectPeriod] = process.argv.slice(2);
const [host, port] = listen.split(':');

const silent = () => {};
const logger = {
    trace: silent,
    debug: silent,
    info: silent,
    warn: silent,
    error: silent,
    fatal: (message) => console.error(message),
};

const channel = new TChannel({ logger });
const ringpop = new RingPop({
    app: 'ringpop',
    hostPort: advertise,
    logger,
    channel: channel.makeSubChannel({ serviceName: 'ringpop', trace: false }),
    // The hash of ringpop-go.
    isCrossPlatform: true,
    stateTimeouts: { suspect: Number(suspectPeriod), faulty: 86400000, tombstone: 60000 },
});
ringpop.setupChannel();
process.once('SIGTERM', () => ringpop.selfEvict((error) => process.exit(error ? 1 : 0)));
channel.listen(Number(port), host, () => ringpop.bootstrap(hosts));
