//! The report in use: what wheel, pointer and keys do to its timeline, and how wide it is.

use crate::browser::drive;
use crate::{common, small};

/// Where the view is, and what else the steps may want. `at` is a place of the canvas, as an event has it.
const HELPERS: &str = r#"
const at = (x, y) => {
  const { left, top } = canvas.getBoundingClientRect();
  return { clientX: left + x, clientY: top + y, bubbles: true, cancelable: true, pointerId: 1 };
};
const pointer = (name, x, y, more = {}) => canvas.dispatchEvent(new PointerEvent(name, { ...at(x, y), ...more }));
const wheel = (x, more) => canvas.dispatchEvent(new WheelEvent("wheel", { ...at(x, 60), ...more }));
const key = (name, more = {}) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key: name, cancelable: true, ...more }));
const length = () => view.end - view.begin;
const label = () => selected && selected.node.label;
const near = (a, b, of = length()) => Math.abs(a - b) < of / 1000;
canvas.scrollIntoView();
draw();
const told = {};
"#;

fn steps(own: &str) -> String {
    format!("{HELPERS}\n{own}\nreturn told;")
}

/// Each of what was told is true; the others are named.
fn assert_all_true(told: &serde_json::Value, names: &[&str]) {
    let Some(told) = told.as_object() else { panic!("no values: {told}") };
    assert_eq!(told.keys().collect::<Vec<_>>(), names);
    let not: Vec<_> = told.iter().filter(|(_, value)| **value != serde_json::Value::Bool(true)).collect();
    assert!(not.is_empty(), "{not:?}");
}

#[test]
fn without_a_browser_skipped_the_wheel_zooms_around_the_mouse_and_pans() {
    let steps = steps(
        r#"
const x = canvas.clientWidth / 4;
const [whole, under] = [length(), moment(x)];
wheel(x, { deltaY: -400 });
told.a_zooms_in = length() < 0.6 * whole;
told.b_around_the_mouse = near(moment(x), under);
const [begin, part] = [view.begin, length()];
wheel(x, { deltaY: 100, shiftKey: true });
told.c_pans_with_shift = near(length(), part) && near(view.begin - begin, (100 / canvas.clientWidth) * part);
wheel(x, { deltaX: -100, deltaY: 1 });
told.d_pans_sideways = near(view.begin, begin);
wheel(x, { deltaY: 9000 });
told.e_ends_at_all = near(length(), whole) && near(view.begin, all.begin);
wheel(x, { deltaY: -1e6 });
told.f_ends_at_a_hundred_ns = near(length(), 100);
"#,
    );
    let Some(told) = drive(&small(), 1280, &steps) else { return };
    let names = [
        "a_zooms_in",
        "b_around_the_mouse",
        "c_pans_with_shift",
        "d_pans_sideways",
        "e_ends_at_all",
        "f_ends_at_a_hundred_ns",
    ];
    assert_all_true(&told, &names);
}

#[test]
fn without_a_browser_skipped_the_pointer_drags_hovers_and_selects() {
    let steps = steps(
        r#"
byId("zoom-in").click();
const [begin, part] = [view.begin, length()];
pointer("pointerdown", 600, 60);
pointer("pointermove", 500, 60);
pointer("pointermove", 450, 60);
pointer("pointerup", 450, 60);
told.a_drags = near(view.begin - begin, (150 / canvas.clientWidth) * part) && near(length(), part);
told.b_a_drag_selects_nothing = label() === null && !canvas.classList.contains("dragging");
byId("zoom-all").click();
draw();
const slow = slices.find((slice) => slice.node.fn === "app::slow" && slice.side === CALLER);
const [x, y] = [pixel((slow.began + slow.ended) / 2), yOf(slow) + 5];
pointer("pointermove", x, y);
told.c_hovering_tells = !byId("tooltip").hidden && byId("tooltip").textContent.includes("app::slow");
pointer("pointerleave", x, y);
told.d_and_ends = byId("tooltip").hidden;
pointer("pointerdown", x, y);
pointer("pointermove", x + 2, y);
pointer("pointerup", x + 2, y);
told.e_a_click_selects = label() === slow.node.label && byId("details").textContent.includes("app::slow");
pointer("pointerdown", x, 3);
pointer("pointerup", x, 3);
told.f_beside_it_lets_go = label() === null;
canvas.dispatchEvent(new MouseEvent("dblclick", at(x, y)));
told.g_twice_zooms_to_it = view.begin > slow.began - length() / 2 && near(slow.ended - slow.began, length() / 1.8, length() * 100);
zoom(0.2);
const middle = overview.getBoundingClientRect();
const where = { clientX: middle.left + middle.width * 0.3, clientY: middle.top + 5, pointerId: 1 };
overview.dispatchEvent(new PointerEvent("pointerdown", where));
const aim = all.begin + 0.3 * (all.end - all.begin);
told.h_the_overview_leads_there = near((view.begin + view.end) / 2, aim, length() * 10);
const bad = slices.find((slice) => slice.node.fn === "app::bad");
select(bad);
told.i_a_failure_says_why = byId("details").textContent.includes("no reply within 5 ms");
"#,
    );
    let Some(told) = drive(&small(), 1280, &steps) else { return };
    let names = [
        "a_drags",
        "b_a_drag_selects_nothing",
        "c_hovering_tells",
        "d_and_ends",
        "e_a_click_selects",
        "f_beside_it_lets_go",
        "g_twice_zooms_to_it",
        "h_the_overview_leads_there",
        "i_a_failure_says_why",
    ];
    assert_all_true(&told, &names);
}

#[test]
fn without_a_browser_skipped_the_keys_move_zoom_and_step_through_the_slices() {
    let steps = steps(
        r#"
const whole = length();
key("+");
told.a_plus_zooms_in = near(length(), 0.7 * whole);
const begin = view.begin;
key("ArrowRight");
told.b_right_moves = near(view.begin - begin, length() / 10);
key("ArrowLeft");
told.c_left_moves_back = near(view.begin, begin);
key("-");
told.d_minus_zooms_out = near(length(), whole);
key("+", { ctrlKey: true });
told.e_the_browsers_own_keys_are_left_alone = near(length(), whole);
key("+");
key("0");
told.f_nought_shows_all = near(view.begin, all.begin) && near(view.end, all.end);
key(".");
told.g_the_first_slice = selected === slices[0];
key(".");
told.h_the_next_one = selected === slices[1];
key(",");
told.i_and_the_one_before = selected === slices[0];
key("Enter");
told.j_enter_zooms_to_it = length() < whole / 2 && view.begin < selected.began && selected.ended < view.end;
draw();
told.k_the_page_says_so = canvas.dataset.selected === selected.node.label;
key("Escape");
told.l_escape_lets_go = selected === null && byId("details").textContent.includes("Nothing is selected");
lanes.style.height = "80px";
lanes.scrollTop = 0;
key("ArrowDown");
told.m_down_scrolls = lanes.scrollTop === 2 * ROW;
key("ArrowUp");
told.n_up_scrolls_back = lanes.scrollTop === 0;
"#,
    );
    let Some(told) = drive(&small(), 1280, &steps) else { return };
    let names = [
        "a_plus_zooms_in",
        "b_right_moves",
        "c_left_moves_back",
        "d_minus_zooms_out",
        "e_the_browsers_own_keys_are_left_alone",
        "f_nought_shows_all",
        "g_the_first_slice",
        "h_the_next_one",
        "i_and_the_one_before",
        "j_enter_zooms_to_it",
        "k_the_page_says_so",
        "l_escape_lets_go",
        "m_down_scrolls",
        "n_up_scrolls_back",
    ];
    assert_all_true(&told, &names);
}

#[test]
fn without_a_browser_skipped_no_table_is_wider_than_a_small_window() {
    let profile = common::training(60);
    for width in [1_000, 1_280, 1_600] {
        let steps = r#"
const wide = [...document.querySelectorAll("table")].filter((table) => table.offsetWidth > table.parentElement.clientWidth);
return { window: innerWidth, page: document.documentElement.scrollWidth, wide: wide.map((table) => `${table.id} ${table.offsetWidth}`) };
"#;
        let Some(told) = drive(&profile, width, steps) else { return };
        assert_eq!(told["wide"], serde_json::json!([]), "at {width}: {told}");
        assert!(told["page"].as_u64() <= told["window"].as_u64(), "at {width}: {told}");
    }
}
