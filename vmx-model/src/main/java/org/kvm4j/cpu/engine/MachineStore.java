package org.kvm4j.cpu.engine;

import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.CodeWriteListener;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.machine.CodeSpace;

/**
 * Blocks of machine code that several processors run: finds them, links them, and unlinks what is
 * overwritten, on the thread that has stored and before that goes on, so that no processor's own
 * stores are followed by code that they have changed. Who is in a block meanwhile leaves it later,
 * so its room is given back only when all processors have left the store.
 *
 * <p>Thread-safe; who makes a block locks it meanwhile.
 */
final class MachineStore implements CodeWriteListener {
  /** What a block takes of the heap, and an instruction of it, in bytes, roughly. */
  private static final int BLOCK_SIZE = 200;

  private static final int INSTRUCTION_SIZE = 6;
  private static final int PAGE_SIZE = 400;

  private final SharedCode owner;
  private final PhysicalMemory memory;
  private final CodeSpace space;

  /** What there is of the space, and where the next code goes. */
  private final CodeChunks chunks;

  private final List<Interpreter> users = new ArrayList<>();

  /** By page number. */
  private final HashMap<Long, MachinePage> pages = new HashMap<>();

  /** All that there have been: some processor may leave one that is dead. */
  private final List<MachineBlock> blocks = new ArrayList<>();

  /** What they take of the heap, in bytes, roughly. */
  private long kept;

  /** Processors are leaving it, and none joins. */
  private boolean retired;

  MachineStore(SharedCode owner, PhysicalMemory memory, CodeSpace space) {
    this.owner = owner;
    this.memory = memory;
    this.space = space;
    this.chunks = new CodeChunks(space);
    memory.addCodeWriteListener(this);
  }

  // ---- processors

  /** One more processor uses it; false if it is too late for that. */
  synchronized boolean join(Interpreter engine) {
    if (retired) {
      return false;
    }
    users.add(engine);
    return true;
  }

  /** A processor runs nothing of it any more, and never will. */
  void leave(Interpreter engine) {
    synchronized (this) {
      users.remove(engine);
      if (!users.isEmpty()) {
        return;
      }
      retired = true;
      memory.removeCodeWriteListener(this);
      for (MachinePage page : pages.values()) {
        unmark(page);
      }
      pages.clear();
      blocks.clear();
      chunks.release();
    }
    owner.forget(this);
  }

  /** Whether one processor alone uses it. */
  synchronized boolean isAlone() {
    return users.size() == 1;
  }

  /** All processors are to leave it. */
  void retire() {
    List<Interpreter> all;
    synchronized (this) {
      retired = true;
      all = List.copyOf(users);
    }
    owner.forget(this);
    for (Interpreter engine : all) {
      engine.leaveMachineCode();
    }
  }

  /** For tests: how many chunks of memory it may have. */
  synchronized void setMostChunks(int most) {
    chunks.setMost(most);
  }

  // ---- blocks

  synchronized boolean isEmpty() {
    return blocks.isEmpty();
  }

  /** The number of the next block. */
  synchronized int next() {
    return blocks.size();
  }

  /** Any block, also one that is dead. */
  synchronized MachineBlock block(int number) {
    return blocks.get(number);
  }

  /** The block that has its code at an offset of a page. */
  synchronized @Nullable MachineBlock find(long hpa, int offset, int modeKey) {
    MachinePage page = pages.get(hpa >>> 12);
    return page == null ? null : page.find(offset, modeKey);
  }

  /** Before code is read from a page: from then on this hears of stores to it. */
  synchronized void mark(long hpa) {
    MachinePage page = pages.get(hpa >>> 12);
    if (page == null) {
      page = new MachinePage();
      pages.put(hpa >>> 12, page);
      kept += PAGE_SIZE;
    }
    if (page.mark == null || page.mark.isForgotten()) {
      page.mark = memory.markCode(hpa);
    }
  }

  /** A page that some block has been in. */
  private MachinePage page(long hpa) {
    return Objects.requireNonNull(pages.get(hpa >>> 12));
  }

  /**
   * A processor has marked a page, and may have been about to store to it when another one did, of
   * which nobody is told: what it has changed by that is dropped, before this processor comes to it
   * by links. From now on it is told of its own stores.
   */
  synchronized void check(long hpa) {
    MachinePage page = pages.get(hpa >>> 12);
    if (page != null) {
      page.all(
          b -> {
            if (!isCurrent(b)) {
              drop(b);
            }
          });
    }
  }

  /** Whether a block's bytes are those in memory. */
  synchronized boolean isCurrent(MachineBlock b) {
    int length = b.bytes.length;
    byte[] now = new byte[length];
    int here = Math.min(length, CodePage.SIZE - b.offset);
    memory.read(b.hpa + b.offset, now, 0, here);
    if (here < length) {
      memory.read(b.secondHpa, now, here, length - here);
    }
    return Arrays.equals(now, b.bytes);
  }

  /**
   * Takes a block up, whose pages have been {@linkplain #mark marked} before it was read.
   *
   * @param writer has its code
   * @param length of that
   * @return false if there is no room for it
   */
  synchronized boolean add(MachineBlock b, MachineWriter writer, int length) {
    int near = writer.near();
    int where = chunks.take(near, length - near);
    if (where < 0) {
      return false;
    }
    int ways = chunks.far();
    writer.part(ways - near - where);
    space.write(where, writer.code(), 0, near);
    space.write(ways, writer.code(), near, length - near);
    b.code = where;
    if (b.takeSite != 0) {
      b.takeSite += where;
      b.takeStub += ways - near;
    }
    if (b.followSite != 0) {
      b.followSite += where;
      b.followStub += ways - near;
    }
    blocks.add(b);
    kept += BLOCK_SIZE + b.count() * INSTRUCTION_SIZE;
    MachinePage page = page(b.hpa);
    MachineBlock old = page.find(b.offset, b.modeKey);
    if (old != null) {
      b.replaced = old.replaced + 1;
      drop(old);
    }
    page.add(b);
    if (b.secondHpa != -1) {
      page(b.secondHpa).addTail(b);
    }
    follow(b, b.takeSite, b.takeStub, b.target);
    follow(b, b.followSite, b.followStub, b.end);
    return true;
  }

  /** What its blocks take of the heap, in bytes, roughly. */
  synchronized long kept() {
    return kept;
  }

  /** The block that a jump of another leads to, which is linked from now on; null if none is. */
  synchronized @Nullable MachineBlock take(MachineBlock b) {
    return follow(b, b.takeSite, b.takeStub, b.target);
  }

  /** The block that follows another in line, and is linked from now on; null if none is. */
  synchronized @Nullable MachineBlock follow(MachineBlock b) {
    return follow(b, b.followSite, b.followStub, b.end);
  }

  private @Nullable MachineBlock follow(MachineBlock b, int site, int stub, int target) {
    if (b.dead || site == 0 || target < 0 || target >= CodePage.SIZE) {
      return null;
    }
    MachineBlock to = find(b.hpa, target, b.modeKey);
    if (to != null) {
      VarHandle.releaseFence();
      space.write32(site - 4, to.code + to.nearEntry - site);
      to.addIncoming(site, stub);
    }
    return to;
  }

  /** Has nothing lead to a block any more. */
  synchronized void drop(MachineBlock b) {
    if (b.dead) {
      return;
    }
    b.dead = true;
    b.unlink(space);
    page(b.hpa).remove(b);
    if (b.secondHpa != -1) {
      page(b.secondHpa).removeTail(b);
    }
  }

  @Override
  public synchronized void codeWritten(long hpa, int length) {
    MachinePage page = pages.get(hpa >>> 12);
    if (page == null) {
      return;
    }
    page.overlapping((int) hpa & 0xfff, length, this::drop);
    if (page.isEmpty() && page.emptied < Interpreter.MOST_EMPTIED) {
      page.emptied++;
      unmark(page);
    }
  }

  private static void unmark(MachinePage page) {
    if (page.mark != null) {
      page.mark.clear();
      page.mark = null;
    }
  }
}
