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
     * @param {string | EventFilters} [event]
     * @param {EventFilters} [filters] the parameters of `GET /debug/events`
     */
    events(event?: string | EventFilters, filters?: EventFilters): Promise<Required<{
        id: number;
        account: string;
        endpoint: string;
        outcome: "accepted" | "duplicate" | "dropped" | "rejected";
        event: string | null;
        visitor_id: string | null;
        distinct_id: string | null;
        time: number;
        received_at: string;
        test: boolean;
        repeats: number;
        event_properties?: {
            [key: string]: unknown;
        };
        default_properties?: {
            [key: string]: unknown;
        };
        identity_context?: {
            [key: string]: unknown;
        } | null;
        identity?: {
            [key: string]: string;
        };
        visitor_properties?: {
            [key: string]: unknown;
        } | null;
        resolution?: import("../types/api.js").components["schemas"]["Resolution"] | null;
        hints?: import("../types/api.js").components["schemas"]["Hint"][];
        reason?: import("../types/api.js").components["schemas"]["Reason"] | null;
        request_id: number;
        batch_index?: number | null;
    }>[]>;
    /** Return one event, whatever its outcome, with what it changed of its visitor. @param {number} id */
    event(id: number): Promise<{
        id: number;
        account: string;
        endpoint: string;
        outcome: "accepted" | "duplicate" | "dropped" | "rejected";
        event: string | null;
        visitor_id: string | null;
        distinct_id: string | null;
        time: number;
        received_at: string;
        test: boolean;
        repeats: number;
        event_properties?: {
            [key: string]: unknown;
        };
        default_properties?: {
            [key: string]: unknown;
        };
        identity_context?: {
            [key: string]: unknown;
        } | null;
        identity?: {
            [key: string]: string;
        };
        visitor_properties?: {
            [key: string]: unknown;
        } | null;
        resolution?: import("../types/api.js").components["schemas"]["Resolution"] | null;
        hints?: import("../types/api.js").components["schemas"]["Hint"][];
        reason?: import("../types/api.js").components["schemas"]["Reason"] | null;
        request_id: number;
        batch_index?: number | null;
        changes?: import("../types/api.js").components["schemas"]["VisitorChange"][];
        unknown_changes?: string[];
    }>;
    /**
     * Return visitors, the oldest first.
     * @param {VisitorFilters} [filters] external_id, email, user_id, anonymous_id, phone_number or q
     */
    visitors(filters?: VisitorFilters): Promise<Required<{
        visitor_id: string;
        account: string;
        identifiers: import("../types/api.js").components["schemas"]["Identifiers"];
        properties: {
            [key: string]: unknown;
        };
        custom_properties: {
            [key: string]: unknown;
        };
        consent?: {
            [key: string]: unknown;
        } | null;
        data?: {
            [key: string]: unknown;
        };
        devices?: {
            [key: string]: unknown;
        }[];
        event_count: number;
        first_seen: string;
        last_seen: string;
    }>[]>;
    /** Return the only visitor that matches. Throws ExpectationError if there are none or several. @param {VisitorFilters} filters */
    visitor(filters?: VisitorFilters): Promise<Required<{
        visitor_id: string;
        account: string;
        identifiers: import("../types/api.js").components["schemas"]["Identifiers"];
        properties: {
            [key: string]: unknown;
        };
        custom_properties: {
            [key: string]: unknown;
        };
        consent?: {
            [key: string]: unknown;
        } | null;
        data?: {
            [key: string]: unknown;
        };
        devices?: {
            [key: string]: unknown;
        }[];
        event_count: number;
        first_seen: string;
        last_seen: string;
    }>>;
    /** Return the journal, the oldest request first. @param {RequestFilters} [filters] */
    requests(filters?: RequestFilters): Promise<Required<{
        id: number;
        account: string;
        call_id: number;
        attempt: number;
        gap_ms?: number | null;
        endpoint: string;
        method: string;
        path: string;
        status: number | null;
        fault?: import("../types/api.js").components["schemas"]["FaultAnswer"] | null;
        received_at: string;
        duration_ms: number;
        content_type: string;
        content_encoding: string;
        body_bytes: number;
        receipts: number;
    }>[]>;
    /** Return one request with its body, its events and its answer. @param {number} id */
    request(id: number): Promise<{
        id: number;
        account: string;
        call_id: number;
        attempt: number;
        gap_ms?: number | null;
        endpoint: string;
        method: string;
        path: string;
        status: number | null;
        fault?: import("../types/api.js").components["schemas"]["FaultAnswer"] | null;
        received_at: string;
        duration_ms: number;
        content_type: string;
        content_encoding: string;
        body_bytes: number;
        receipts: number;
        body?: string | null;
        body_base64?: string | null;
        body_missing?: string | null;
        events?: import("../types/api.js").components["schemas"]["Event"][];
        answer?: import("../types/api.js").components["schemas"]["SentAnswer"] | null;
    }>;
    /** Return the counts. */
    summary(): Promise<{
        account?: string | null;
        visitors: number;
        requests: number;
        newest_event: number;
        newest_request: number;
        outcomes: {
            [key: string]: number;
        };
        events: {
            [key: string]: number;
        };
        evicted_requests?: number;
        evicted_events?: number;
    }>;
    /** Return how many events each rule applied to, the rule with most of them first. */
    ruleCounts(): Promise<{
        rule: string;
        hinted?: number;
        refused?: number;
    }[]>;
    /** Return a page in one file that shows what is in this account. @param {{ title?: string, failures?: string[] }} [about] */
    report(about?: {
        title?: string;
        failures?: string[];
    }): Promise<string>;
    /**
     * Wait until the events that match have arrived, and return the last one.
     * @param {string | WaitOptions} [event]
     * @param {WaitOptions} [options]
     */
    waitFor(event?: string | WaitOptions, options?: WaitOptions): Promise<Required<{
        id: number;
        account: string;
        endpoint: string;
        outcome: "accepted" | "duplicate" | "dropped" | "rejected";
        event: string | null;
        visitor_id: string | null;
        distinct_id: string | null;
        time: number;
        received_at: string;
        test: boolean;
        repeats: number;
        event_properties?: {
            [key: string]: unknown;
        };
        default_properties?: {
            [key: string]: unknown;
        };
        identity_context?: {
            [key: string]: unknown;
        } | null;
        identity?: {
            [key: string]: string;
        };
        visitor_properties?: {
            [key: string]: unknown;
        } | null;
        resolution?: import("../types/api.js").components["schemas"]["Resolution"] | null;
        hints?: import("../types/api.js").components["schemas"]["Hint"][];
        reason?: import("../types/api.js").components["schemas"]["Reason"] | null;
        request_id: number;
        batch_index?: number | null;
    }>>;
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
     * @param {string | CountedCondition} [event]
     * @param {CountedCondition} [options]
     */
    assertTracked(event?: string | CountedCondition, options?: CountedCondition): Promise<Required<{
        id: number;
        account: string;
        endpoint: string;
        outcome: "accepted" | "duplicate" | "dropped" | "rejected";
        event: string | null;
        visitor_id: string | null;
        distinct_id: string | null;
        time: number;
        received_at: string;
        test: boolean;
        repeats: number;
        event_properties?: {
            [key: string]: unknown;
        };
        default_properties?: {
            [key: string]: unknown;
        };
        identity_context?: {
            [key: string]: unknown;
        } | null;
        identity?: {
            [key: string]: string;
        };
        visitor_properties?: {
            [key: string]: unknown;
        } | null;
        resolution?: import("../types/api.js").components["schemas"]["Resolution"] | null;
        hints?: import("../types/api.js").components["schemas"]["Hint"][];
        reason?: import("../types/api.js").components["schemas"]["Reason"] | null;
        request_id: number;
        batch_index?: number | null;
    }>>;
    /**
     * Check, without waiting, that no such event has arrived.
     * @param {string | Condition} [event]
     * @param {Condition} [options]
     */
    assertNone(event?: string | Condition, options?: Condition): Promise<void>;
    /**
     * Check, without waiting, that there are events in this order of their time, and return them.
     * @param {readonly (string | NonNullable<Condition["match"]>)[]} matches names or matches, each for one event
     * @param {{ strict?: boolean }} [options] strict: no other event of the account is between them
     */
    assertSequence(matches: readonly (string | NonNullable<Condition["match"]>)[], { strict }?: {
        strict?: boolean;
    }): Promise<Required<{
        id: number;
        account: string;
        endpoint: string;
        outcome: "accepted" | "duplicate" | "dropped" | "rejected";
        event: string | null;
        visitor_id: string | null;
        distinct_id: string | null;
        time: number;
        received_at: string;
        test: boolean;
        repeats: number;
        event_properties?: {
            [key: string]: unknown;
        };
        default_properties?: {
            [key: string]: unknown;
        };
        identity_context?: {
            [key: string]: unknown;
        } | null;
        identity?: {
            [key: string]: string;
        };
        visitor_properties?: {
            [key: string]: unknown;
        } | null;
        resolution?: import("../types/api.js").components["schemas"]["Resolution"] | null;
        hints?: import("../types/api.js").components["schemas"]["Hint"][];
        reason?: import("../types/api.js").components["schemas"]["Reason"] | null;
        request_id: number;
        batch_index?: number | null;
    }>[]>;
    /**
     * Check that nothing was accepted that was probably not meant.
     * @param {{ ignore?: readonly string[] }} [options] the rules whose hints are ignored
     */
    assertNoHints({ ignore }?: {
        ignore?: readonly string[];
    }): Promise<void>;
    /**
     * Plan a misbehaviour. It lasts until it is dropped or the account is closed; with a function, while that runs.
     * @param {FaultPlan} plan
     * @param {(fault: Fault) => unknown} [block]
     */
    fault({ name, ...plan }: FaultPlan, block?: (fault: Fault) => unknown): Promise<Fault>;
    /** Set an experiment of this account, which only revision 2026-10 has. @param {string} key @param {ExperimentPlan} plan */
    experiment(key: string, plan: ExperimentPlan): Promise<{
        id?: string | null;
        name?: string | null;
        type?: string | null;
        allocation?: number;
        url?: string[];
        query?: {
            [key: string]: string;
        };
        variants: import("../types/api.js").components["schemas"]["Variant"][];
        key: string;
        account: string;
        note: string | null;
    }>;
    /** Remove an experiment and return what it was. @param {string} key */
    removeExperiment(key: string): Promise<{
        id?: string | null;
        name?: string | null;
        type?: string | null;
        allocation?: number;
        url?: string[];
        query?: {
            [key: string]: string;
        };
        variants: import("../types/api.js").components["schemas"]["Variant"][];
        key: string;
        account: string;
        note: string | null;
    }>;
    /** Delete the visitors, events and requests of this account; without an account, those of all. */
    reset(): Promise<{
        account?: string | null;
        visitors: number;
        receipts: number;
        requests: number;
    }>;
    /** Return all requests as JSON Lines, the oldest first. @param {{ redact?: boolean }} [options] redact: without tokens and keys */
    export({ redact }?: {
        redact?: boolean;
    }): Promise<string>;
    /** Send exported requests again, into this account; without an account, each into its own. @param {string} lines */
    replay(lines: string): Promise<Required<{
        imported: number;
        outcomes: {
            [key: string]: number;
        };
        differing_total?: number;
        differing?: import("../types/api.js").components["schemas"]["Difference"][];
        kept_settings?: string[];
    }>>;
    /**
     * Return the handle of another account of the same emulator, by default of a new one, which its `close()` deletes.
     * @param {AccountPlan} [plan]
     */
    openAccount({ name, clock, ...plan }?: AccountPlan): Promise<Account>;
    /** Delete this account; requests to it are refused from now on. */
    closeAccount(): Promise<void>;
    /** Return the version of the emulator, which is healthy if it answers. @param {{ timeout?: number }} [options] */
    version({ timeout }?: {
        timeout?: number;
    }): Promise<string>;
    /** Wait until the emulator answers. Throws EmulatorError if it does not in time. @param {{ timeout?: number }} [options] */
    waitReady({ timeout }?: {
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
import type { VisitorFilters } from "./types.js";
import type { RequestFilters } from "./types.js";
import type { WaitOptions } from "./types.js";
import type { ExpectOptions } from "./types.js";
import type { Arrived } from "./types.js";
import type { CountedCondition } from "./types.js";
import type { Condition } from "./types.js";
import type { FaultPlan } from "./types.js";
import { Fault } from "./fault.js";
import type { ExperimentPlan } from "./types.js";
import type { AccountPlan } from "./types.js";
import type { HandleOptions } from "./types.js";
