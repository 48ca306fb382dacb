/**
 * A running emulator, or one account of it at `…/accounts/NAME`, asked through its debug API.
 *
 * Every method throws EmulatorError if the emulator cannot be reached or refuses the operation; those that expect
 * something throw ExpectationError. Times are in milliseconds.
 */
export class Emulator {
    /**
     * @param {string} [url] by default OURS_EMULATOR_URL, or else the address that `ours-emulator serve` has by default
     * @param {HandleOptions} [options]
     */
    constructor(url?: string, options?: HandleOptions);
    /** The address of the whole emulator. */
    serverUrl: string;
    /** The name of the account; undefined for all of them. */
    account: string | undefined;
    /** The address of this handle; a browser shows there what arrived. */
    url: string;
    /** A token that your app can send. */
    token: string;
    /** A key of the Client API that your app can send. */
    publicKey: string;
    /** What the debug API asks for, if it does. */
    adminToken: string | undefined;
    /** The clock of this account. */
    clock: Clock;
    /** The base URL of the Ingest API: what OURS_PRIVACY_BASE_URL is set to. */
    get ingestUrl(): string;
    /** The base URL of the Client API. */
    get clientUrl(): string;
    /** Variables for a process: with them an app that uses the vendor's SDK talks to this emulator. */
    get env(): {
        OURS_EMULATOR_ADMIN_TOKEN?: string;
        OURS_PRIVACY_BASE_URL: string;
        OURS_EMULATOR_URL: string;
        OURS_EMULATOR_CLIENT_URL: string;
        OURS_EMULATOR_TOKEN: string;
        OURS_EMULATOR_PUBLIC_KEY: string;
    };
    /**
     * Return events by their time, the oldest first: accepted ones, unless `outcome` says otherwise.
     * @param {Given<EventFilters>} given the event's name, which may be left out, and parameters of `GET /debug/events`
     * @returns {Promise<Event[]>}
     */
    events(...given: Given<EventFilters>): Promise<Event[]>;
    /**
     * Return one event, whatever its outcome, with what it changed of its visitor.
     * @param {number} id
     * @returns {Promise<EventDetail>}
     */
    event(id: number): Promise<EventDetail>;
    /**
     * Return visitors, the oldest first.
     * @param {VisitorFilters} [filters] external_id, email, user_id, anonymous_id, phone_number or q
     * @returns {Promise<Visitor[]>}
     */
    visitors(filters?: VisitorFilters): Promise<Visitor[]>;
    /**
     * Return the only visitor that matches. Throws ExpectationError if there are none or several.
     * @param {VisitorFilters} filters
     * @returns {Promise<Visitor>}
     */
    visitor(filters?: VisitorFilters): Promise<Visitor>;
    /**
     * Return the journal, the oldest request first.
     * @param {RequestFilters} [filters]
     * @returns {Promise<RequestRecord[]>}
     */
    requests(filters?: RequestFilters): Promise<RequestRecord[]>;
    /**
     * Return one request with its body, its events and its answer.
     * @param {number} id
     * @returns {Promise<RequestDetail>}
     */
    request(id: number): Promise<RequestDetail>;
    /**
     * Return the counts.
     * @returns {Promise<Summary>}
     */
    summary(): Promise<Summary>;
    /**
     * Return how many events each rule applied to, the rule with most of them first.
     * @returns {Promise<RuleCount[]>}
     */
    ruleCounts(): Promise<RuleCount[]>;
    /** Return a page in one file that shows what is in this account. @param {{ title?: string, failures?: string[] }} [about] */
    report(about?: {
        title?: string;
        failures?: string[];
    }): Promise<string>;
    /**
     * Wait until the events that match have arrived, and return the last one.
     * @param {Given<WaitOptions>} given the event's name, which may be left out, and options
     * @returns {Promise<Event>}
     */
    waitFor(...given: Given<WaitOptions>): Promise<Event>;
    /**
     * Run a function, and wait after it for events that arrived since it began.
     * @overload
     * @param {string | ExpectOptions} event
     * @param {() => unknown} block
     * @returns {Promise<Arrived>}
     */
    expect(event: string | ExpectOptions, block: () => unknown): Promise<Arrived>;
    /**
     * @overload
     * @param {string} event
     * @param {ExpectOptions} options
     * @param {() => unknown} block
     * @returns {Promise<Arrived>}
     */
    expect(event: string, options: ExpectOptions, block: () => unknown): Promise<Arrived>;
    /**
     * Check, without waiting, that an event has arrived (exactly `count` of them), and return the last to arrive.
     * @param {Given<CountedCondition>} given the event's name, which may be left out, and options
     * @returns {Promise<Event>}
     */
    assertTracked(...given: Given<CountedCondition>): Promise<Event>;
    /**
     * Check, without waiting, that no such event has arrived.
     * @param {Given<Condition>} given the event's name, which may be left out, and options
     */
    assertNone(...given: Given<Condition>): Promise<void>;
    /**
     * Check, without waiting, that there are events in this order of their time, and return them.
     * @param {readonly (string | NonNullable<Condition["match"]>)[]} matches names or matches, each for one event
     * @param {{ strict?: boolean }} [options] strict: no other event of the account is between them
     * @returns {Promise<Event[]>}
     */
    assertSequence(matches: readonly (string | NonNullable<Condition["match"]>)[], options?: {
        strict?: boolean;
    }): Promise<Event[]>;
    /**
     * Check that nothing was accepted that was probably not meant.
     * @param {{ ignore?: readonly string[] }} [options] the rules whose hints are ignored
     */
    assertNoHints(options?: {
        ignore?: readonly string[];
    }): Promise<void>;
    /**
     * Plan a misbehaviour. It lasts until it is dropped or the account is closed; with a function, while that runs.
     * @param {FaultPlan} plan
     * @param {(fault: Fault) => unknown} [block]
     */
    fault({ name, ...plan }: FaultPlan, block?: (fault: Fault) => unknown): Promise<Fault>;
    /**
     * Set an experiment of this account, which only revision 2026-10 has.
     * @param {string} key
     * @param {ExperimentPlan} plan
     * @returns {Promise<ExperimentState>}
     */
    experiment(key: string, plan: ExperimentPlan): Promise<ExperimentState>;
    /**
     * Remove an experiment and return what it was.
     * @param {string} key
     * @returns {Promise<ExperimentState>}
     */
    removeExperiment(key: string): Promise<ExperimentState>;
    /**
     * Set the tracking plan of this account and return it. Each difference gets a hint of the rule tracking-plan.
     * @param {TrackingPlan | string} plan the plan, or the text of its file in YAML or JSON
     * @returns {Promise<TrackingPlan>}
     */
    setTrackingPlan(plan: TrackingPlan | string): Promise<TrackingPlan>;
    /**
     * Remove the tracking plan of this account and return what it was.
     * @returns {Promise<TrackingPlan>}
     */
    removeTrackingPlan(): Promise<TrackingPlan>;
    /**
     * Delete the visitors, events and requests of this account; without an account, those of all.
     * @returns {Promise<Cleared>}
     */
    reset(): Promise<Cleared>;
    /** Return all requests as JSON Lines, the oldest first. @param {{ redact?: boolean }} [options] redact: without tokens and keys */
    export(options?: {
        redact?: boolean;
    }): Promise<string>;
    /**
     * Send exported requests again, into this account; without an account, each into its own.
     * @param {string | Uint8Array} lines
     * @returns {Promise<Imported>}
     */
    replay(lines: string | Uint8Array): Promise<Imported>;
    /**
     * Return the handle of another account of the same emulator, by default of a new one, which its `close()` deletes.
     * @param {AccountPlan} [options]
     */
    openAccount(options?: AccountPlan): Promise<Account>;
    /** Delete this account; requests to it are refused from now on. */
    closeAccount(): Promise<void>;
    /** Return the version of the emulator, which is healthy if it answers in time. @param {{ timeout?: number }} [options] */
    version(options?: {
        timeout?: number;
    }): Promise<string>;
    /** Wait until the emulator answers. Throws EmulatorError if it does not in time; each try has at least a second. @param {{ timeout?: number }} [options] */
    waitReady(options?: {
        timeout?: number;
    }): Promise<void>;
    #private;
}
/** An account that was opened here: `close()` deletes it, as does the end of an `await using`. */
export class Account extends Emulator {
    /** Delete the account, unless that was done before; requests to it are refused from now on. */
    close(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
    #private;
}
import { Clock } from "./clock.js";
import type { EventFilters } from "./types.js";
import type { Given } from "./types.js";
import type { Event } from "./types.js";
import type { EventDetail } from "./types.js";
import type { VisitorFilters } from "./types.js";
import type { Visitor } from "./types.js";
import type { RequestFilters } from "./types.js";
import type { RequestRecord } from "./types.js";
import type { RequestDetail } from "./types.js";
import type { Summary } from "./types.js";
import type { RuleCount } from "./types.js";
import type { WaitOptions } from "./types.js";
import type { ExpectOptions } from "./types.js";
import type { Arrived } from "./types.js";
import type { CountedCondition } from "./types.js";
import type { Condition } from "./types.js";
import type { FaultPlan } from "./types.js";
import { Fault } from "./fault.js";
import type { ExperimentPlan } from "./types.js";
import type { ExperimentState } from "./types.js";
import type { TrackingPlan } from "./types.js";
import type { Cleared } from "./types.js";
import type { Imported } from "./types.js";
import type { AccountPlan } from "./types.js";
import type { HandleOptions } from "./types.js";
