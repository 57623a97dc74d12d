//! Writing a measurement down: downwards always, upwards once. Pure.

use super::file::Table;
use super::judge::{Judged, Verdict};

/// What came of it, in lines.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Blessed {
    pub(super) written: Vec<String>,
    pub(super) refused: Vec<String>,
}

/// Writes what was measured into the table. `raise` is why what is worse is right.
pub(super) fn bless(table: &mut Table, judged: &[Judged], raise: Option<&str>) -> Blessed {
    let mut blessed = Blessed::default();
    for judged in judged {
        let name = &judged.operation.name;
        let Some(row) = table.operations.iter_mut().find(|row| row.name == *name) else { continue };
        row.linux = judged.linux.or(row.linux);
        match (&judged.verdict, raise) {
            (Verdict::Holds | Verdict::NotYet(_), _) => continue,
            (Verdict::New | Verdict::Better, _) => {}
            (Verdict::NotMeasured(_), _) => {
                blessed.refused.extend(judged.failure());
                continue;
            }
            (Verdict::Worse(what), None) => {
                blessed.refused.push(format!("{name}: {what}: --raise WHY, if that is right"));
                continue;
            }
            (Verdict::Worse(what), Some(_)) if row.why.is_some() => {
                blessed.refused.push(format!("{name}: {what}: it has risen before (`why`)"));
                continue;
            }
            (Verdict::Worse(what), Some(_)) if judged.reaches_target() != Some(true) => {
                blessed.refused.push(format!("{name}: {what}: that is beyond the target"));
                continue;
            }
            (Verdict::Worse(_), Some(why)) => row.why = Some(why.to_owned()),
        }
        (row.count, row.exits) = (judged.count, judged.exits);
        let count =
            judged.count.map_or_else(String::new, |count| format!("{count} instructions, "));
        let exits = super::file::number(judged.exits.unwrap_or_default());
        blessed.written.push(format!("{name}: {count}{exits} exits"));
    }
    blessed
}

#[cfg(test)]
mod tests {
    use super::super::judge::judge;
    use super::super::judge::tests::{row, seen};
    use super::*;

    fn bless_one(
        written: &str,
        count: f64,
        raise: Option<&str>,
    ) -> (super::super::file::Operation, Blessed) {
        let row = row(written);
        let judged = judge(&row, &seen(count, 0));
        let mut table = Table { operations: vec![row] };
        let blessed = bless(&mut table, &[judged], raise);
        (table.operations.remove(0), blessed)
    }

    const WRITTEN: &str = "count = 250\nexits = 0\n";

    #[test]
    fn downwards_and_new_is_written_with_linux_beside_it() {
        for written in [WRITTEN, ""] {
            let (row, blessed) = bless_one(written, 240.0, None);
            assert_eq!((row.linux, row.count, row.exits), (Some(900), Some(240), Some(0.0)));
            assert_eq!(blessed.written, ["a: 240 instructions, 0 exits"]);
            assert!(blessed.refused.is_empty());
        }
    }

    #[test]
    fn upwards_needs_a_reason_and_goes_to_the_target_and_once() {
        let refused = |written: &str, count, raise| {
            let (row, blessed) = bless_one(written, count, raise);
            assert_eq!(row.count, Some(250));
            assert!(blessed.written.is_empty());
            blessed.refused.join("\n")
        };
        assert!(refused(WRITTEN, 280.0, None).ends_with("--raise WHY, if that is right"));
        let beyond = refused(WRITTEN, 301.0, Some("more"));
        assert_eq!(beyond, "a: 301 instructions, written down are 250: that is beyond the target");
        let again = format!("{WRITTEN}why = \"before\"\n");
        assert!(refused(&again, 280.0, Some("more")).ends_with("it has risen before (`why`)"));
        let (row, blessed) = bless_one(WRITTEN, 280.0, Some("more to do"));
        assert_eq!((row.count, row.why.as_deref()), (Some(280), Some("more to do")));
        assert!(blessed.refused.is_empty());
    }
}
