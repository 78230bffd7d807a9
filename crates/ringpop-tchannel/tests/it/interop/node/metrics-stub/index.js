'use strict';

// What ringpop uses of the package `metrics`, which the registry no longer
// has: a histogram of its protocol periods, and rates that only its statistics
// show.

const VALUES_MAX = 100;

class Histogram {
    constructor() {
        this.values = [];
    }

    update(value) {
        this.values.push(value);
        if (this.values.length > VALUES_MAX) {
            this.values.shift();
        }
    }

    percentiles(parts) {
        const sorted = this.values.slice().sort((a, b) => a - b);
        const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
        return Object.fromEntries(parts.map((part) => [part, sorted.length ? at(part) : 0]));
    }

    mean() {
        const sum = this.values.reduce((a, b) => a + b, 0);
        return this.values.length ? sum / this.values.length : 0;
    }

    printObj() {
        return { type: 'histogram', count: this.values.length, mean: this.mean() };
    }
}

class Meter {
    mark() {}

    printObj() {
        return { m1: 0 };
    }
}

module.exports = { Histogram, Meter };
