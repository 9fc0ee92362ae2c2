package org.kvm4j.cpu.engine;

import java.lang.ref.Cleaner;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.kvm4j.ept.tlb.TagTable;
import org.kvm4j.machine.Assembler;
import org.kvm4j.machine.CodeSpace;

/** What one store has of the memory for machine code, in chunks that all of the JVM share. */
final class CodeChunks {
  private static final int CHUNK = 128 << 10;

  /** Of a block's code. */
  private static final int ALIGNMENT = 16;

  /** Chunks that nobody has; whoever uses them locks them. */
  private static final ArrayDeque<Integer> FREE = new ArrayDeque<>();

  /** Where memory begins that has never been anybody's. */
  private static int fresh;

  private static long gate;
  private static long leave;
  private static long otherJump;
  private static long revalidate;
  private static long recallRead;
  private static long recallWrite;
  private static long readTsc;

  private final CodeSpace space;
  private final List<Integer> mine;
  private int next;
  private int end;

  /** Gives back what is a store's that nobody can reach any more. */
  private static final Cleaner CLEANER = Cleaner.create();

  /** How many chunks one store may have. */
  private static final int MOST = 48 * 1024 * 1024 / CHUNK;

  private int most = MOST;

  CodeChunks(CodeSpace space) {
    this.space = space;
    List<Integer> chunks = new ArrayList<>();
    this.mine = chunks;
    CLEANER.register(this, () -> giveBack(chunks));
  }

  /** For tests: how many chunks this store may have. */
  void setMost(int chunks) {
    most = chunks;
  }

  /**
   * Room for code in two parts, one at the begin of a chunk and one at its end ({@link #far}), so
   * that what is rarely executed lies apart.
   *
   * @param near the length of the first part
   * @param far the length of the other
   * @return the first one's offset; negative if there is no room
   */
  int take(int near, int far) {
    int room = near + ALIGNMENT - 1 & -ALIGNMENT;
    if (end - next < room + far) {
      if (room + far > CHUNK) {
        return -1;
      }
      int chunk = mine.size() < most ? chunk(space) : -1;
      if (chunk < 0) {
        return -1;
      }
      mine.add(chunk);
      next = chunk;
      end = chunk + CHUNK;
    }
    int at = next;
    next += room;
    end -= far;
    return at;
  }

  /** The offset of the second part of what {@link #take} gave last. */
  int far() {
    return end;
  }

  /** Gives all back. */
  void release() {
    giveBack(mine);
    next = 0;
    end = 0;
  }

  private static void giveBack(List<Integer> chunks) {
    synchronized (FREE) {
      FREE.addAll(chunks);
      chunks.clear();
    }
  }

  private static int chunk(CodeSpace space) {
    synchronized (FREE) {
      Integer chunk = FREE.poll();
      if (chunk != null) {
        return chunk;
      }
      gates(space);
      if (fresh + CHUNK > CodeSpace.SIZE) {
        return -1;
      }
      fresh += CHUNK;
      return fresh - CHUNK;
    }
  }

  // ---- the way in and out ----

  /** The function that loads registers and goes where the context says. */
  static long gate(CodeSpace space) {
    synchronized (FREE) {
      gates(space);
      return gate;
    }
  }

  /** The code that stores registers and returns. */
  static long leave(CodeSpace space) {
    synchronized (FREE) {
      gates(space);
      return leave;
    }
  }

  /** The function that looks at the other entry of a pair in the jump cache. */
  static long otherJump(CodeSpace space) {
    synchronized (FREE) {
      gates(space);
      return otherJump;
    }
  }

  /** The function that looks whether an entry of the jump cache holds again. */
  static long revalidate(CodeSpace space) {
    synchronized (FREE) {
      gates(space);
      return revalidate;
    }
  }

  /**
   * The function that looks among what has had to give way in the TLB.
   *
   * @param write for stores, else for loads
   */
  static long recall(CodeSpace space, boolean write) {
    synchronized (FREE) {
      gates(space);
      return write ? recallWrite : recallRead;
    }
  }

  /** The function that reads the time-stamp counter. */
  static long readTsc(CodeSpace space) {
    synchronized (FREE) {
      gates(space);
      return readTsc;
    }
  }

  private static void gates(CodeSpace space) {
    if (fresh != 0) {
      return;
    }
    int at = space.begin();
    Assembler a = new Assembler();
    MachineGates.writeGate(a);
    int leaveAt = a.position() + 63 & -64;
    while (a.position() < leaveAt) {
      a.emit(0xcc);
    }
    MachineGates.writeLeave(a);
    int otherAt = a.position();
    MachineGates.writeOtherJump(a);
    int revalidateAt = a.position();
    MachineGates.writeRevalidate(a);
    int readAt = a.position();
    MachineGates.writeRecall(a, 0);
    int writeAt = a.position();
    MachineGates.writeRecall(a, TagTable.WRITE_TAG);
    int tscAt = a.position();
    MachineGates.writeReadTsc(a);
    space.write(at, a.buffer(), 0, a.position());
    gate = space.address(at);
    leave = space.address(at + leaveAt);
    otherJump = space.address(at + otherAt);
    revalidate = space.address(at + revalidateAt);
    recallRead = space.address(at + readAt);
    recallWrite = space.address(at + writeAt);
    readTsc = space.address(at + tscAt);
    fresh = at + a.position() + 4095 & -4096;
  }
}
