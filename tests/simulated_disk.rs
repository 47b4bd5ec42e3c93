//! What survives a crash of a simulated host, and who is cut off from whom in a partition.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::simulation::{Disk, Draw, Host, Simulation, check_determinism, for_all};
use ropewalk::{ClientEndpoint, Failure, Protocol, Result, Transport};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn host_with_disk(seed: u64) -> (Simulation, Host, Disk) {
    let simulation = Simulation::new(seed);
    let host = simulation.host("server");
    let disk = host.disk();
    (simulation, host, disk)
}

/// All that is on the disk of a host after a crash, under some hundred seeds.
fn outcomes_of(act: impl Fn(&Disk)) -> BTreeSet<Vec<(String, String)>> {
    let outcome = |seed| {
        let (_simulation, host, disk) = host_with_disk(seed);
        act(&disk);
        host.restart();
        let file = |name: String| {
            let text = String::from_utf8(disk.read(&name).unwrap()).unwrap();
            (name, text)
        };
        disk.names().into_iter().map(file).collect()
    };
    (0..200).map(outcome).collect()
}

fn files(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect()
}

#[test]
fn a_program_reads_what_it_wrote_synced_or_not() {
    let (_simulation, _, disk) = host_with_disk(1);
    disk.write("a", b"long before").unwrap();
    disk.write("a", b"one").unwrap();
    disk.append("a", b" two").unwrap();
    disk.append("b", b"new").unwrap();
    disk.rename("b", "c").unwrap();
    assert_eq!(disk.read("a").unwrap(), b"one two");
    assert_eq!((disk.names(), disk.exists("b")), (vec!["a".to_owned(), "c".to_owned()], false));
    disk.remove("a").unwrap();
    let missing = disk.read("a").unwrap_err();
    assert_eq!(
        (missing.kind(), missing.to_string()),
        (ErrorKind::NotFound, "there is no file a".into())
    );
    for outcome in [disk.remove("a"), disk.rename("a", "d"), disk.sync("a")] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn what_was_synced_survives_every_crash() {
    let outcomes = outcomes_of(|disk| {
        disk.write("a", b"kept").unwrap();
        disk.sync("a").unwrap();
    });
    assert_eq!(outcomes, [files(&[("a", "kept")])].into());
}

#[test]
fn what_was_not_synced_survives_up_to_anywhere() {
    let outcomes = outcomes_of(|disk| {
        disk.append("a", b"1").unwrap();
        disk.sync("a").unwrap();
        disk.append("a", b"23").unwrap();
        disk.append("a", b"45").unwrap();
    });
    let texts = ["1", "12", "123", "1234", "12345"];
    assert_eq!(outcomes, texts.map(|text| files(&[("a", text)])).into());
}

#[test]
fn a_file_that_was_written_over_without_a_sync_may_be_empty() {
    let outcomes = outcomes_of(|disk| {
        disk.write("a", b"old").unwrap();
        disk.sync("a").unwrap();
        disk.write("a", b"N").unwrap();
    });
    assert_eq!(outcomes, ["old", "", "N"].map(|text| files(&[("a", text)])).into());
}

#[test]
fn a_rename_may_survive_whose_bytes_do_not() {
    let outcomes = outcomes_of(|disk| {
        disk.write("a", b"old").unwrap();
        disk.sync("a").unwrap();
        disk.append("new", b"N").unwrap();
        disk.rename("new", "a").unwrap();
    });
    let before = files(&[("a", "old")]);
    let made = ["", "N"].map(|text| files(&[("a", "old"), ("new", text)]));
    let renamed = ["", "N"].map(|text| files(&[("a", text)]));
    assert_eq!(outcomes, [[before].as_slice(), &made, &renamed].concat().into_iter().collect());
}

#[test]
fn who_writes_beside_it_syncs_and_renames_has_the_old_bytes_or_the_new_ones() {
    let outcomes = outcomes_of(|disk| {
        disk.write("a", b"old").unwrap();
        disk.sync("a").unwrap();
        disk.write("new", b"new").unwrap();
        disk.sync("new").unwrap();
        disk.rename("new", "a").unwrap();
    });
    assert_eq!(outcomes, [files(&[("a", "old"), ("new", "new")]), files(&[("a", "new")])].into());
    let outcomes = outcomes_of(|disk| {
        disk.write("a", b"old").unwrap();
        disk.write("new", b"new").unwrap();
        disk.rename("new", "a").unwrap();
        disk.sync("a").unwrap();
    });
    assert_eq!(outcomes, [files(&[("a", "new")])].into(), "the new name was synced");
}

#[test]
fn a_removal_is_certain_once_all_is_synced() {
    let prepare = |disk: &Disk| {
        disk.write("a", b"x").unwrap();
        disk.sync("a").unwrap();
        disk.remove("a").unwrap();
    };
    assert_eq!(outcomes_of(prepare), [files(&[]), files(&[("a", "x")])].into());
    let outcomes = outcomes_of(|disk| {
        prepare(disk);
        disk.sync_all().unwrap();
    });
    assert_eq!(outcomes, [files(&[])].into());
    let outcomes = outcomes_of(|disk| {
        disk.write("a", b"x").unwrap();
        disk.remove("a").unwrap();
    });
    let left = ["", "x"].map(|text| files(&[("a", text)]));
    assert_eq!(outcomes, [[files(&[])].as_slice(), &left].concat().into_iter().collect());
}

/// Whatever was done, what survives is the beginning of what was written, and no less than was synced.
#[test]
fn a_log_loses_nothing_that_was_synced_and_nothing_in_its_middle() {
    let outcome = for_all(0..100, |draw: &mut Draw| {
        let (_simulation, host, disk) = host_with_disk(draw.seed());
        let (mut written, mut synced) = (Vec::new(), 0);
        for piece in draw.list(10, |draw| (draw.bytes(8), draw.flag(), draw.flag())) {
            let (bytes, syncs, crashes) = piece;
            disk.append("log", &bytes)?;
            written.extend_from_slice(&bytes);
            if syncs {
                disk.sync("log")?;
                synced = written.len();
            }
            if crashes {
                host.restart();
                let log = disk.read("log").unwrap_or_default();
                if !written.starts_with(&log) || log.len() < synced {
                    return Err(Failure::msg(format!("{log:?} is left of {written:?}")));
                }
                (written, synced) = (log.clone(), log.len());
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn what_a_program_writes_while_a_crash_takes_it_away_is_not_written() {
    struct Scribe(Disk);
    impl Protocol for Scribe {
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
        fn connection_lost(&mut self, _: &Failure) {
            let refused = self.0.append("last words", b"I was killed").unwrap_err();
            assert_eq!(refused.to_string(), "the host is down");
        }
    }
    let (simulation, server, disk) = host_with_disk(1);
    let build = move |_: &ropewalk::Address| Scribe(disk.clone());
    server.reactor().listen("0.0.0.0:7", build).unwrap();
    let opening = simulation.host("client").reactor().open("server:7");
    let _stream = simulation.run_until(opening).unwrap();
    simulation.run_for(SECOND).unwrap();
    server.restart();
    assert!(server.disk().names().is_empty());
    simulation.run_for(SECOND).unwrap();
}

#[test]
fn what_a_crash_does_to_a_disk_follows_from_the_seed() {
    let report = check_determinism(0..20, |simulation| {
        let server = simulation.host("server");
        for number in 0..10 {
            server.disk().append("log", format!("{number}\n").as_bytes())?;
        }
        server.restart();
        simulation.note(String::from_utf8_lossy(&server.disk().read("log").unwrap_or_default()));
        Ok(())
    });
    report.unwrap();
}

// ---- partitions ----

/// Whether a client hears a server's greeting within three seconds.
fn reaches(simulation: &Simulation, from: &Host, to: &Host) -> bool {
    let reactor = from.reactor();
    let to = ClientEndpoint::from(format!("{}:7", to.name())).timeout(3 * SECOND);
    let greeting = from.reactor().spawn(async move {
        let mut stream = reactor.open(to).await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    });
    simulation.run_until(greeting).is_ok()
}

fn four_hosts() -> (Simulation, [Host; 4]) {
    let simulation = Simulation::new(1);
    let hosts = ["a", "b", "c", "d"].map(|name| simulation.host(name));
    for host in &hosts {
        host.boot(|reactor| {
            let greet = async |mut stream: ropewalk::Stream| Ok(stream.write_all(b"hello").await?);
            reactor.serve("0.0.0.0:7", greet).map(drop)
        });
    }
    (simulation, hosts)
}

fn reached(simulation: &Simulation, hosts: &[Host]) -> Vec<String> {
    let pairs = hosts.iter().flat_map(|one| hosts.iter().map(move |other| (one, other)));
    let pairs = pairs.filter(|(one, other)| one.name() != other.name());
    let met = pairs.filter(|(one, other)| reaches(simulation, one, other));
    met.map(|(one, other)| one.name() + &other.name()).collect()
}

#[test]
fn a_partition_cuts_side_from_side_both_ways_and_nobody_else_off() {
    let (simulation, hosts) = four_hosts();
    let [a, b, c, _] = &hosts;
    assert_eq!(reached(&simulation, &hosts).len(), 12);
    simulation.partition(&[a, b], &[c]);
    let expected = ["ab", "ad", "ba", "bd", "cd", "da", "db", "dc"];
    assert_eq!(reached(&simulation, &hosts), expected);
    simulation.heal_partition(&[a], &[c]);
    let expected = ["ab", "ac", "ad", "ba", "bd", "ca", "cd", "da", "db", "dc"];
    assert_eq!(reached(&simulation, &hosts), expected);
    simulation.heal_all();
    assert_eq!(reached(&simulation, &hosts).len(), 12);
}

#[test]
fn a_host_on_both_sides_is_not_cut_off_from_itself() {
    let (simulation, [a, b, ..]) = four_hosts();
    simulation.partition(&[&a, &b], &[&a]);
    assert!(reaches(&simulation, &a, &a) && !reaches(&simulation, &a, &b));
}

#[test]
fn a_script_parts_and_heals() {
    let (simulation, hosts) = four_hosts();
    let [a, _, c, d] = &hosts;
    simulation
        .script("partition a, b | c at 1 s for 30 s\nheal a-c at 10 s\nheal b|c at 20 s")
        .unwrap();
    let at = |seconds: u32, from: &Host, to: &Host| {
        let left = (SECOND * seconds).saturating_sub(simulation.time());
        simulation.run_for(left).unwrap();
        reaches(&simulation, from, to)
    };
    assert!(at(0, a, c));
    assert!(!at(2, a, c));
    assert!(at(6, c, d));
    assert!(at(10, a, c));
    assert!(!at(11, &hosts[1], c));
    assert!(at(20, &hosts[1], c));
}

#[test]
fn a_partition_that_makes_no_sense_is_refused_with_its_line() {
    let (simulation, _) = four_hosts();
    let refused = |text: &str| simulation.script(text).unwrap_err().to_string();
    assert_eq!(
        refused("partition a at 3 s"),
        "line 1 of the script: a is no two sides, as \"a, b | c\" is"
    );
    assert_eq!(
        refused("partition a, | b at 3 s"),
        "line 1 of the script: a, | b is no two sides, as \"a, b | c\" is"
    );
    assert_eq!(refused("heal a, b | x at 3 s"), "line 1 of the script: there is no host x");
}

#[test]
fn planned_troubles_part_three_hosts_and_heal_them_in_time() {
    let mut partitions = 0;
    for seed in 0..40 {
        let simulation = Simulation::new(seed);
        let hosts = ["a", "b", "c"].map(|name| simulation.host(name));
        simulation.keep_trace();
        simulation.plan_troubles(&hosts, 5, 10 * SECOND);
        simulation.run_for(10 * SECOND).unwrap();
        let trace = simulation.trace();
        let (cut, healed) = (trace.matches("is cut").count(), trace.matches("is healed").count());
        assert_eq!(cut, healed, "seed {seed}:\n{trace}");
        partitions += usize::from(cut >= 4);
    }
    assert!(partitions > 0);
}
