//! The table for people, and JSON. Pure.

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use serde_json::json;

use super::file::number;
use super::judge::{Judged, Verdict};

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const ODD: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const PLAIN: Style = Style::new();

/// So much of a reason stands in the table; failures are told whole below it.
const WIDTH: usize = 46;

/// A line an operation, and one for all.
pub(super) fn table(judged: &[Judged]) -> String {
    let width = judged.iter().map(|judged| judged.operation.name.len()).max().unwrap_or(0).max(9);
    let mut text = format!(
        "{HEAD}{:width$} {:>8} {:>8} {:>8} {:>8} {:>7}  verdict{HEAD:#}\n",
        "operation", "Linux", "trapgate", "written", "target", "exits"
    );
    for judged in judged {
        let operation = &judged.operation;
        let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let exits = judged.exits.map_or_else(|| "-".to_owned(), number);
        let (style, verdict) = verdict(judged);
        text += &format!(
            "{:width$} {:>8} {:>8} {:>8} {:>8} {:>7}  {style}{verdict}{style:#}\n",
            operation.name,
            count(judged.linux),
            count(judged.count),
            count(operation.count),
            count(operation.target.count),
            exits,
        );
    }
    let of = |what: fn(&Judged) -> bool| judged.iter().filter(|judged| what(judged)).count();
    text += &format!(
        "{} hold, {} of all are at their target, {} do not exist yet, {} fail\n",
        of(|judged| matches!(judged.verdict, Verdict::Holds | Verdict::Better)),
        of(|judged| judged.reaches_target() == Some(true)),
        of(|judged| matches!(judged.verdict, Verdict::NotYet(_))),
        of(|judged| judged.failure().is_some()),
    );
    text
}

fn verdict(judged: &Judged) -> (Style, String) {
    let cut = |why: &str| match why.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}...", &why[..end]),
        None => why.to_owned(),
    };
    let beyond = match judged.reaches_target() {
        Some(false) => ", beyond the target",
        _ => "",
    };
    match &judged.verdict {
        Verdict::Holds => (GOOD, format!("holds{beyond}")),
        Verdict::Better => (GOOD, format!("better: write it down{beyond}")),
        Verdict::Worse(_) => (BAD, format!("WORSE{beyond}")),
        Verdict::New => (ODD, format!("exists: write it down{beyond}")),
        Verdict::NotYet(call) => (PLAIN, cut(&format!("not yet (ENOSYS: {call})"))),
        Verdict::NotMeasured(why) if judged.operation.is_written_down() => {
            (BAD, cut(&format!("NOT MEASURED: {why}")))
        }
        Verdict::NotMeasured(why) => (ODD, cut(&format!("not yet, fails ({why})"))),
    }
}

/// Everything, for machines.
pub(super) fn json(judged: &[Judged]) -> Result<String> {
    let failures: Vec<_> = judged.iter().filter_map(Judged::failure).collect();
    Ok(format!("{:#}", json!({ "operations": judged, "failures": failures })))
}

#[cfg(test)]
mod tests {
    use super::super::judge::judge;
    use super::super::judge::tests::{row, seen};
    use super::super::script::Sightings;
    use super::*;

    fn plain(judged: &[Judged]) -> String {
        anstream::adapter::strip_str(&table(judged)).to_string()
    }

    #[test]
    fn a_line_has_linux_now_ours_now_written_target_and_exits() {
        let text = plain(&[
            judge(&row("count = 250\nexits = 0\n"), &seen(251.0, 0)),
            judge(&row("count = 350\nexits = 1\n"), &seen(349.0, 1)),
            judge(&row(""), &Sightings::default()),
        ]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "operation    Linux trapgate  written   target   exits  verdict");
        assert_eq!(lines[1], "a              900      251      250      300       0  WORSE");
        assert_eq!(
            lines[2],
            "a              900      349      350      300       1  better: write it down, beyond the target"
        );
        assert!(lines[3].starts_with(
            "a                -        -        -      300       -  not yet, fails (the rig"
        ));
        assert_eq!(lines[4], "1 hold, 1 of all are at their target, 0 do not exist yet, 1 fail");
    }

    #[test]
    fn json_has_the_row_and_what_was_measured() {
        let judged = judge(&row("count = 250\nexits = 0\n"), &seen(251.0, 0));
        let value: serde_json::Value = serde_json::from_str(&json(&[judged]).unwrap()).unwrap();
        let first = &value["operations"][0];
        assert_eq!((&first["verdict"], &first["count"]), (&json!("worse"), &json!(251)));
        assert_eq!(first["operation"]["count"], 250);
        assert_eq!(value["failures"][0], "a: 251 instructions, written down are 250");
    }
}
