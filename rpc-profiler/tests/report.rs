//! The report, as a browser shows it: what its script has made of a profile.
//!
//! Needs Chromium: `chromium`, `chromium-browser` or `google-chrome`, or what `CHROMIUM` names. Without one these tests say that they
//! have checked nothing.

mod browser;
mod common;
mod driven;

use rpc_profiler::Profile;
use rpc_profiler::model::{Call, CallTimes, ClockOffset, NameId, Span, SpanId, Tick, Traffic, Worker};

use self::browser::{Dom, show};

/// Two workers, three functions, four calls and a span: few enough to count.
fn small() -> Profile {
    let tick = |us: u64| Tick::from_unix_ns(1_700_000_000_000_000_000 + us * 1_000);
    let mut profile = Profile::new(0, tick(0), tick(1_000));
    profile.workers.push(Worker::new(0, "worker0", ClockOffset::EXACT));
    profile.workers.push(Worker::new(1, "worker1", ClockOffset::new(-70_000, Some(1_500))));
    let names = [
        "rpc_async",
        "app::add",
        "app::slow",
        "ok",
        "timed_out",
        "load",
        "error",
        "app::bad",
        "no reply within 5 ms",
    ];
    profile.names = names.map(str::to_owned).to_vec();

    let all = [0, 1, 2, 12, 20, 60, 70, 72];
    for (id, function, outcome, from, began, stretch, known) in
        [(1, 1, 3, 0, 100, 1, 8), (2, 1, 3, 0, 200, 1, 8), (3, 2, 3, 1, 300, 5, 8), (4, 7, 4, 0, 700, 2, 3)]
    {
        let [function, outcome] = [function, outcome].map(NameId);
        let mut call = Call::new(SpanId(id), from, 1 - from, NameId(0), function, outcome);
        (call.request, call.response) = (Traffic { bytes: 1_000, parts: 1 }, Traffic { bytes: 50, parts: 0 });
        let mut times = all.map(|us| Some(tick(began + us * stretch)));
        times[known..].fill(None);
        call.error = (known < 8).then_some(NameId(8));
        let [began, encoded, written, arrived, ran, replied, answered, decoded] = times;
        call.times = CallTimes::default();
        (call.times.began, call.times.encoded, call.times.written) = (began, encoded, written);
        (call.times.arrived, call.times.ran, call.times.replied) = (arrived, ran, replied);
        (call.times.answered, call.times.decoded) = (answered.or((known == 3).then_some(tick(950))), decoded);
        profile.calls.push(call);
    }
    let mut span = Span::new(SpanId(9), 1, NameId(5), tick(125), tick(150));
    (span.parent, span.depth) = (Some(SpanId(1)), 1);
    profile.spans.push(span);
    profile.dropped = 5;
    profile
}

fn assert_no_error(dom: &Dom) {
    assert_eq!(dom.get("<html", "data-error"), None, "the page's script failed");
    assert_eq!(dom.get("<html", "data-ready").as_deref(), Some("yes"), "the page's script did not end");
}

#[test]
fn without_a_browser_skipped_the_page_has_the_numbers_of_the_profile() {
    let Some(dom) = show(&small(), "") else { return };
    assert_no_error(&dom);

    let fact = |name: &str| dom.number(&format!("data-fact=\"{name}\""), "data-value");
    assert_eq!(["calls", "spans", "failed", "timed-out", "dropped", "workers"].map(fact), [4, 1, 1, 1, 5, 2]);
    assert_eq!((fact("wall"), fact("bytes"), fact("clock")), (1_000_000, 4 * 1_050, 1_500));

    let clock = |worker: &str| dom.get(&format!("data-worker=\"{worker}\""), "data-clock-error-ns");
    assert_eq!((clock("worker0").as_deref(), clock("worker1").as_deref()), (Some("0"), Some("1500")));

    let cell = |pair: &str, value: &str| dom.number(&format!("data-pair=\"{pair}\""), value);
    assert_eq!(
        ["worker0-worker1", "worker1-worker0", "worker0-worker0"].map(|pair| cell(pair, "data-calls")),
        [3, 1, 0]
    );
    assert_eq!(cell("worker0-worker1", "data-failed"), 1);
    assert_eq!(cell("worker0-worker1", "data-request-bytes"), 3_000);
    assert_eq!(cell("worker1-worker0", "data-response-bytes"), 50);
    assert_eq!(cell("worker0-worker1", "data-took-ns"), 72_000 + 72_000 + 250_000);
    assert_eq!(cell("-", "data-calls"), 4);

    let slowest = "<tr data-call=";
    assert_eq!(dom.get(slowest, "data-key").as_deref(), Some("rpc_async#app::slow(worker1 -> worker0)"));
    assert_eq!(dom.number(slowest, "data-took-ns"), 360_000);
    assert_eq!(dom.count(slowest), 4);

    let failure = "data-outcome=\"timed_out\" data-function=";
    assert_eq!(
        (dom.get(failure, "data-function").as_deref(), dom.number(failure, "data-count")),
        (Some("rpc_async#app::bad"), 1)
    );
    assert_eq!(dom.get(failure, "data-error").as_deref(), Some("no reply within 5 ms"));

    let span = "data-span=\"load\"";
    let numbers = ["data-count", "data-sum", "data-p50", "data-max", "data-workers"];
    assert_eq!(numbers.map(|number| dom.number(span, number)), [1, 25_000, 25_000, 25_000, 1]);
    assert_eq!(dom.row(span).all("<rect", "data-count"), ["1"]);

    let canvas = |value: &str| dom.number("id=\"canvas\"", value);
    assert_eq!(
        ["data-slices-drawn", "data-slices", "data-of"].map(canvas),
        [8, 8, 8],
        "4 callers, 3 handlers, 1 span"
    );
    assert_histograms(&dom);
    assert_readable_aloud(&dom);
}

/// Tables have captions and headings, and what is drawn says in words what it shows.
fn assert_readable_aloud(dom: &Dom) {
    assert_eq!((dom.count("<table"), dom.count("<caption")), (7, 7));
    assert_eq!(dom.all("<th ", "scope").len(), dom.count("<th ") + dom.count("<th>"), "headings say of what");
    assert!(dom.count("scope=\"row\"") > 20);
    assert_eq!(dom.all("<svg", "aria-label").len(), dom.count("<svg"));
    assert!(dom.get("id=\"canvas\"", "aria-label").is_some_and(|label| label.contains("2 workers")));
}

fn assert_histograms(dom: &Dom) {
    let function = |key: &str, value: &str| dom.number(&format!("data-function=\"{key}\" data-index"), value);
    assert_eq!(
        ["all functions", "rpc_async#app::add", "rpc_async#app::slow"].map(|key| function(key, "data-count")),
        [4, 2, 1]
    );
    assert_eq!(function("rpc_async#app::add", "data-p50"), 72_000);
    assert_eq!(function("all functions", "data-max"), 360_000);

    let run = dom.row("data-stage=\"run\"");
    assert_eq!(run.number("data-stage", "data-count"), 3);
    assert_eq!(run.all("<rect", "data-count"), ["2", "1"], "40 µs twice, and 200 µs");
    let add = dom.row("data-function=\"rpc_async#app::add\" data-index");
    assert_eq!(add.all("<rect", "data-count"), ["2"]);
}

#[test]
fn without_a_browser_skipped_a_function_leads_to_its_stages() {
    let Some(dom) = show(&small(), "#function-1") else { return };
    assert_no_error(&dom);
    let chosen = dom.get("aria-selected=\"true\"", "data-function");
    assert_eq!(chosen.as_deref(), Some("rpc_async#app::bad"));
    let stages =
        ["encode", "queue", "run"].map(|stage| dom.number(&format!("data-stage=\"{stage}\""), "data-count"));
    assert_eq!(stages, [1, 1, 0], "of a call that timed out nothing is known of its handler");
}

#[test]
fn without_a_browser_skipped_a_call_leads_to_its_place_in_the_timeline() {
    let Some(dom) = show(&small(), "#call-2") else { return };
    assert_no_error(&dom);
    let canvas = |value: &str| dom.get("id=\"canvas\"", value).unwrap_or_default();
    assert_eq!(canvas("data-selected"), "rpc_async#app::slow(worker1 -> worker0)");
    let [begin, end] =
        ["data-view-begin", "data-view-end"].map(|value| canvas(value).parse::<f64>().unwrap());
    assert!(
        (100_000.0..300_000.0).contains(&begin) && (660_000.0..860_000.0).contains(&end),
        "{begin} to {end}"
    );
    assert!(dom.number("id=\"canvas\"", "data-slices-drawn") < 8);
}

#[test]
fn without_a_browser_skipped_names_are_text_whatever_is_in_them() {
    let hostile = "</script><img src=x onerror=\"document.documentElement.dataset.hacked=1\"><blink>&amp;\u{2028}'\"`${1}";
    let mut profile = small();
    for name in &mut profile.names {
        if name != "ok" {
            name.push_str(hostile);
        }
    }
    for (rank, worker) in profile.workers.iter_mut().enumerate() {
        worker.name = format!("{rank}{hostile}");
    }
    let Some(dom) = show(&profile, "#call-2") else { return };
    assert_no_error(&dom);
    assert_eq!(dom.get("<html", "data-hacked"), None);
    assert_eq!((dom.count("<img"), dom.count("<blink")), (0, 0), "an element came out of a name");
    assert!(
        dom.get("<tr data-call=", "data-key").unwrap().contains(hostile),
        "the name is there, letter by letter"
    );
}

#[test]
fn without_a_browser_skipped_a_profile_without_calls_has_a_page() {
    let profile = Profile::new(3, Tick::from_unix_ns(5), Tick::from_unix_ns(5));
    let Some(dom) = show(&profile, "") else { return };
    assert_no_error(&dom);
    assert_eq!(dom.number("data-fact=\"calls\"", "data-value"), 0);
}

#[test]
fn without_a_browser_skipped_a_large_profile_shows_a_part_and_says_so() {
    let profile = common::training(1_500);
    let Some(dom) = show(&profile, "") else { return };
    assert_no_error(&dom);
    let canvas = |value: &str| dom.number("id=\"canvas\"", value);
    let slices = 2 * profile.calls.len() as u64 + profile.spans.len() as u64;
    let timed_out =
        profile.calls.iter().filter(|call| profile.name(call.outcome) == "timed_out").count() as u64;
    assert_eq!(canvas("data-of"), slices - timed_out);
    assert!((19_999..=20_000).contains(&canvas("data-slices")), "{}", canvas("data-slices"));
    assert_eq!(dom.number("data-fact=\"calls\"", "data-value"), profile.calls.len() as u64);
    assert_eq!(dom.number("data-fact=\"timed-out\"", "data-value"), timed_out);
    assert!(dom.text().contains("20,000 of ") || dom.text().contains("19,999 of "));
}
