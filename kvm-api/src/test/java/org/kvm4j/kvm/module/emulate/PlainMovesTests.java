package org.kvm4j.kvm.module.emulate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.kvm.module.vendor.ExecutedCode;

class PlainMovesTests {
  private final PlainMoves moves = new PlainMoves(CpuProfiles.named("kvm4j-v1"));

  private @Nullable Instruction find(String hex, int codeSize) {
    byte[] bytes = Arrays.copyOf(HexFormat.of().parseHex(hex), 16);
    ByteBuffer b = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    ExecutedCode code = new ExecutedCode();
    code.low = b.getLong(0);
    code.high = b.getLong(8);
    code.codeSize = codeSize;
    return moves.find(code);
  }

  @ParameterizedTest
  @CsvSource({
    "8807, 8, true, 1", // mov [rdi], al
    "668907, 8, true, 2", // mov [rdi], ax
    "4889842400010000, 8, true, 8", // mov [rsp + 0x100], rax
    "c70500000000ffffffff, 8, true, 4", // mov dword [rip], -1
    "48c7053412000001000000, 8, true, 8", // mov qword [rip + 0x1234], 1
    "8b07, 8, false, 4", // mov eax, [rdi]
    "0fb607, 8, false, 1", // movzx eax, byte [rdi]
    "480fb707, 8, false, 2", // movzx rax, word [rdi]
    "0fbe07, 8, false, 1", // movsx eax, byte [rdi]
    "486307, 8, false, 4", // movsxd rax, dword [rdi]
    "a11000, 2, false, 2", // mov ax, [0x10]
    "66a31000, 2, true, 4" // mov [0x10], eax
  })
  void movesBetweenARegisterAndMemory(String code, int codeSize, boolean store, int size) {
    Instruction move = find(code, codeSize);
    assertNotNull(move);
    assertEquals(code.length() / 2, move.length);
    assertEquals(store, PlainMoves.isStore(move));
    assertEquals(size, PlainMoves.size(move));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "89f8", // mov eax, edi
        "0107", // add [rdi], eax
        "8707", // xchg [rdi], eax
        "8c07", // mov [rdi], es
        "8e07", // mov es, [rdi]
        "a4", // movsb
        "f08807", // lock mov: no instruction
        "0f2907", // movaps [rdi], xmm0
        "ff37" // push [rdi]
      })
  void anythingElseIsNone(String code) {
    assertNull(find(code, 8));
  }

  @Test
  void bytesBehindTheInstructionDoNotMatterAndTheModeDoes() {
    Instruction first = find("89078b07", 8);
    assertSame(first, find("89078bffff", 8));
    Instruction narrow = find("89078b07", 2);
    assertNotNull(narrow);
    assertEquals(2, PlainMoves.size(narrow));
    assertTrue(PlainMoves.isStore(narrow));
    Instruction load = find("8b078b07", 8);
    assertNotNull(load);
    assertFalse(PlainMoves.isStore(load));
  }
}
