//! Phenomena put on stage by clients of their own, on keys of their own.

use super::store::{Mop, World};
use super::transactions::Phenomenon;
use perjury_history::Kind;

fn read(key: usize, seen: &[i64]) -> Mop {
    Mop::Read { key, seen: Some(seen.to_vec()) }
}

fn write(key: usize, value: i64) -> Mop {
    Mop::Write { key, value }
}

/// Plays the scene. Everything that is written lasts, so that the last reads see it.
pub(super) fn play(world: &mut World<'_>, phenomenon: Phenomenon) {
    let (x, y) = (world.new_key(), world.new_key());
    let [x1, x2] = [world.fresh_value(x), world.fresh_value(x)];
    let [y1, y2] = [world.fresh_value(y), world.fresh_value(y)];
    match phenomenon {
        Phenomenon::DirtyWrite => {
            let (one, two) = ([write(x, x1), write(y, y1)], [write(x, x2), write(y, y2)]);
            world.write_all(&[write(x, x1), write(x, x2), write(y, y2), write(y, y1)]);
            together(world, &one, &two);
        }
        Phenomenon::AbortedRead => {
            let failed = [write(x, x1)];
            alone(world, Kind::Fail, &failed);
            alone(world, Kind::Ok, &[read(x, &[x1])]);
            // It stays there for all to see.
            world.write_all(&failed);
        }
        Phenomenon::IntermediateRead => {
            let (one, two) = ([write(x, x1), write(x, x2)], [read(x, &[x1])]);
            world.write_all(&one);
            together(world, &one, &two);
        }
        Phenomenon::CircularRead => {
            let (one, two) = ([write(x, x1), read(y, &[y1])], [write(y, y1), read(x, &[x1])]);
            world.write_all(&[write(x, x1), write(y, y1)]);
            together(world, &one, &two);
        }
        Phenomenon::ReadSkew => {
            let (one, two) = ([write(x, x1), write(y, y1)], [read(x, &[x1]), read(y, &[])]);
            world.write_all(&one);
            together(world, &one, &two);
        }
        Phenomenon::WriteSkew => {
            let (one, two) = ([read(x, &[]), write(y, y1)], [read(y, &[]), write(x, x1)]);
            world.write_all(&[write(y, y1), write(x, x1)]);
            together(world, &one, &two);
        }
        Phenomenon::Internal => {
            let one = [write(x, x1), read(x, &[])];
            world.write_all(&one);
            alone(world, Kind::Ok, &one);
        }
        Phenomenon::StaleRead => {
            let one = [write(x, x1)];
            world.write_all(&one);
            alone(world, Kind::Ok, &one);
            alone(world, Kind::Ok, &[read(x, &[])]);
        }
        Phenomenon::DuplicateElement => {
            let one = [write(x, x1)];
            world.write_all(&one);
            world.write_all(&one);
            alone(world, Kind::Ok, &one);
            alone(world, Kind::Ok, &[read(x, &[x1, x1])]);
        }
        Phenomenon::IncompatibleOrder => {
            let (one, two) = ([write(x, x1)], [write(x, x2)]);
            together(world, &one, &two);
            let (first, second) = ([read(x, &[x1, x2])], [read(x, &[x2, x1])]);
            world.write_all(&[write(x, x1), write(x, x2)]);
            together(world, &first, &second);
        }
    }
}

/// Two transactions at the same time.
fn together(world: &mut World<'_>, one: &[Mop], two: &[Mop]) {
    world.invoked_by(1, one);
    world.invoked_by(2, two);
    world.completed_by(1, Kind::Ok, one);
    world.completed_by(2, Kind::Ok, two);
}

/// A transaction of its own.
fn alone(world: &mut World<'_>, kind: Kind, mops: &[Mop]) {
    world.invoked_by(1, mops);
    world.completed_by(1, kind, mops);
}
