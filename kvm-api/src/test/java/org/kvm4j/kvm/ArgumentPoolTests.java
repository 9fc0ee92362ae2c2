package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.syscall.UserMemory;

class ArgumentPoolTests {
  private static final long PAGE = 4096;
  private static final int TO_A_PAGE = 4;

  private final FakeKernel kernel = new FakeKernel();
  private final ArgumentPool pool = new ArgumentPool(kernel);

  private static Set<Long> pages(List<Long> pieces) {
    Set<Long> pages = new HashSet<>();
    pieces.forEach(p -> pages.add(p / PAGE));
    return pages;
  }

  @Test
  void pieces_do_not_overlap_and_share_pages() {
    List<Long> taken = new ArrayList<>();
    for (int k = 0; k < 3 * TO_A_PAGE; k++) {
      taken.add(pool.take());
    }
    List<Long> sorted = taken.stream().sorted().toList();
    for (int k = 1; k < sorted.size(); k++) {
      assertTrue(sorted.get(k) - sorted.get(k - 1) >= ArgumentPool.PIECE);
    }
    assertEquals(3, pages(taken).size());
  }

  @Test
  void what_is_given_back_is_taken_again_and_a_page_goes_with_its_last_piece() {
    SplittableRandom random = new SplittableRandom(1);
    List<Long> taken = new ArrayList<>();
    for (int k = 0; k < 5_000; k++) {
      if (taken.isEmpty() || random.nextInt(100) < 50) {
        long piece = pool.take();
        assertTrue(!taken.contains(piece));
        // Mapped: it would throw else.
        kernel.memory(piece, ArgumentPool.PIECE).putByte(ArgumentPool.PIECE - 1, (byte) 1);
        taken.add(piece);
      } else {
        long piece = taken.remove(random.nextInt(taken.size()));
        UserMemory memory = kernel.memory(piece, ArgumentPool.PIECE);
        pool.giveBack(piece);
        if (!pages(taken).contains(piece / PAGE)) {
          assertThrows(IllegalStateException.class, () -> memory.getByte(0));
        }
      }
    }
  }

  @Test
  void a_block_grows_out_of_its_piece_and_is_empty_each_time() {
    ArgumentBlock block = new ArgumentBlock(pool);
    ArgumentBlock other = new ArgumentBlock(pool);
    other.zeroed(8).putLong(0, 42);
    long first = block.address();
    for (long size : new long[] {8, ArgumentPool.PIECE, ArgumentPool.PIECE + 1, 20_000, 16}) {
      UserMemory memory = block.zeroed(size);
      assertTrue(memory.size() >= size);
      assertEquals(memory.address(), block.address());
      for (long k = 0; k < size; k++) {
        assertEquals(0, memory.getByte(k));
      }
      memory.fill(0, size, (byte) -1);
    }
    assertNotEquals(first, block.address());
    long greater = block.address();
    block.close();
    block.close();
    assertThrows(IllegalStateException.class, () -> block.zeroed(8));
    assertThrows(RuntimeException.class, () -> kernel.memory(greater, 8).getByte(0));
    // The piece is free again, and once only.
    assertEquals(first, pool.take());
    assertNotEquals(first, pool.take());
    assertEquals(42, kernel.memory(other.address(), 8).getLong(0));
  }
}
