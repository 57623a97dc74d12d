//! Which boots there are, and in what order: several files a boot, the longest
//! first.
//!
//! Called by `rigs`. Pure.

use super::places::Place;

/// A file's tests in a place, still to run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Work {
    pub(super) file: String,
    /// Names as the rigs' executable has them: with the file before them.
    pub(super) tests: Vec<String>,
    /// Expected, for all of them.
    pub(super) seconds: f64,
    /// Whether these are all of the file's tests that the place has.
    pub(super) is_whole: bool,
}

/// One start of a rig and what runs in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Boot {
    pub(super) place: Place,
    pub(super) work: Vec<Work>,
}

impl Boot {
    /// Expected, the start included.
    pub(super) fn seconds(&self) -> f64 {
        self.place.boot() + self.work.iter().map(|work| work.seconds).sum::<f64>()
    }
}

/// A boot that is shorter than so many starts is not worth its own.
const WORTH: f64 = 4.0;

/// Shares the work out over boots, so that as many rigs as there are `lanes` end
/// at about the same time; the longest boot comes first.
pub(super) fn boots(work: Vec<(Place, Vec<Work>)>, lanes: usize) -> Vec<Boot> {
    let total: f64 = work.iter().flat_map(|(_, work)| work).map(|work| work.seconds).sum();
    let share = total / lanes.max(1) as f64;
    let mut boots = Vec::new();
    for (place, work) in work {
        // In halves of a lane's share, so that there is something to put where
        // another lane ends early.
        boots.extend(pack(place, work, (share / 2.0).max(WORTH * place.boot())));
    }
    boots.sort_by(|a, b| b.seconds().total_cmp(&a.seconds()));
    boots
}

/// Into boots of at most so many seconds: each file, longest first, into the first
/// that has room for it.
fn pack(place: Place, mut work: Vec<Work>, most: f64) -> Vec<Boot> {
    work.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let mut boots = Vec::<Boot>::new();
    for work in work {
        let room = boots.iter_mut().find(|boot| boot.seconds() + work.seconds <= most);
        match room {
            Some(boot) => boot.work.push(work),
            None => boots.push(Boot { place, work: vec![work] }),
        }
    }
    boots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(file: &str, seconds: f64) -> Work {
        Work { file: file.into(), tests: vec![format!("{file}::t")], seconds, is_whole: true }
    }

    fn files(boot: &Boot) -> Vec<&str> {
        boot.work.iter().map(|work| work.file.as_str()).collect()
    }

    #[test]
    fn short_files_share_a_boot() {
        let short = ["a", "b", "c"].map(|file| work(file, 5.0));
        let boots = boots(vec![(Place::Intel, short.into())], 2);
        assert_eq!(boots.len(), 1);
        assert_eq!(files(&boots[0]), ["a", "b", "c"]);
        assert_eq!(boots[0].seconds(), 45.0);
    }

    #[test]
    fn long_work_is_shared_out_over_the_lanes_longest_first() {
        let intel = vec![work("a", 200.0), work("b", 100.0), work("c", 90.0)];
        let amd = vec![work("d", 150.0), work("e", 10.0)];
        let boots = boots(vec![(Place::Amd, amd), (Place::Intel, intel)], 2);
        let order: Vec<_> = boots.iter().map(|boot| (boot.place, files(boot))).collect();
        assert_eq!(
            order,
            [
                (Place::Intel, vec!["a"]),
                (Place::Amd, vec!["d"]),
                (Place::Intel, vec!["b"]),
                (Place::Intel, vec!["c"]),
                (Place::Amd, vec!["e"]),
            ]
        );
    }

    #[test]
    fn nothing_to_do_is_no_boot() {
        assert!(boots(vec![(Place::Amd, Vec::new())], 2).is_empty());
    }
}
