//! async/await: a task for each poem, each written as if it were alone.

use std::rc::Rc;

use futures_util::AsyncBufReadExt;
use ropewalk::reactor::ReactorStopped;
use ropewalk::{Reactor, Result};

use crate::recital::{Recital, Task};

pub(crate) fn get(recital: &Rc<Recital>) -> Result {
    let reactor = Reactor::new()?;
    recital.stops_with(&reactor);
    let spawn = |task| reactor.spawn(recite(reactor.clone(), recital.clone(), task));
    let tasks: Vec<_> = recital.tasks().map(spawn).collect();
    let all = reactor.run_until(async move {
        for task in tasks {
            task.await?;
        }
        Ok(())
    });
    match all {
        // Ctrl-C: the recital knows that it is not over.
        Err(failure) if failure.is::<ReactorStopped>() => Ok(()),
        all => all,
    }
}

async fn recite(reactor: Reactor, recital: Rc<Recital>, task: Task) {
    match get_poem(&reactor, &recital, task).await {
        Ok(poem) => recital.finished(task, &poem, recital.elapsed()),
        Err(failure) => recital.failed(task, &failure),
    }
}

async fn get_poem(reactor: &Reactor, recital: &Recital, task: Task) -> Result<Vec<u8>> {
    let mut stream = reactor.open(recital.address(task)).await?;
    let mut poem = Vec::new();
    loop {
        let piece = stream.fill_buf().await?;
        if piece.is_empty() {
            return Ok(poem);
        }
        recital.piece(task, &mut poem, piece)?;
        let n = piece.len();
        stream.consume_unpin(n);
    }
}
