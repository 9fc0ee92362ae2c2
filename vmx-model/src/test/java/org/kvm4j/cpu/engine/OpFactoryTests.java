package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.testing.SystemMachine;

/** Which instructions have an operation of their own: those that kernels and compilers use much. */
final class OpFactoryTests {
  private static boolean isGeneric(SystemMachine m, String hex) {
    byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
    Decoder decoder = new Decoder(m.cpu.model.features());
    int mode = m.cpu.protectedMode ? m.cpu.codeSize : m.cpu.codeSize | Decoder.REAL_MODE;
    return new OpFactory(Code.engine(m))
            .make(decoder.decode(bytes, 0, bytes.length, mode), 0, m.cpu)
        instanceof GenericOp;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "0f ba 20 05", // bt dword [rax], 5
        "48 0f ba f0 05", // btr rax, 5
        "48 0f ba 30 05", // btr qword [rax], 5
        "f0 48 0f ba 28 05", // lock bts qword [rax], 5
        "48 0f ab 08", // bts [rax], rcx
        "f0 48 0f b3 08", // lock btr [rax], rcx
        "48 0f a3 c8", // bt rax, rcx
        "f0 ff 00", // lock inc dword [rax]
        "f0 48 01 08", // lock add [rax], rcx
        "f0 48 83 00 01", // lock add qword [rax], 1
        "f0 80 08 01", // lock or byte [rax], 1
        "f0 48 0f c1 08", // lock xadd [rax], rcx
        "f0 0f b1 08", // lock cmpxchg [rax], ecx
        "48 87 08", // xchg [rax], rcx
        "48 d1 20", // shl qword [rax]
        "d2 e8", // shr al, cl
        "c0 e4 04", // shl ah, 4
        "f6 c4 01", // test ah, 1
        "80 e4 0f", // and ah, 0fh
        "88 e0", // mov al, ah
        "0f b6 c4", // movzx eax, ah
        "88 20", // mov [rax], ah
        "8a 20", // mov ah, [rax]
        "b0 01", // mov al, 1
        "66 b8 01 00", // mov ax, 1
        "66 c7 00 01 00", // mov word [rax], 1
        "fe c0", // inc al
        "48 0f bc c1", // bsf rax, rcx
        "f3 48 0f bc c1", // tzcnt rax, rcx
        "f3 0f b8 01", // popcnt eax, [rcx]
        "48 69 01 10 00 00 00", // imul rax, [rcx], 10h
        "48 0f af 01", // imul rax, [rcx]
        "9c", // pushfq
        "9d", // popfq
        "fa", // cli
        "0f 18 08", // prefetcht0 [rax]
        "0f 1f 00", // nop [rax]
        "f7 18", // neg dword [rax]
        "0f 44 01", // cmovz eax, [rcx]
        "0f 94 00", // setz [rax]
        "ff 30", // push qword [rax]
      })
  void these_have_one_in_64_bit_mode(String hex) {
    assertFalse(isGeneric(SystemMachine.long64(0), hex), hex);
  }

  @ParameterizedTest
  @ValueSource(strings = {"b0 01", "d0 e8", "fe c0", "80 e4 0f", "0f ba e0 03", "fa"})
  void these_have_one_in_every_mode(String hex) {
    assertFalse(isGeneric(SystemMachine.real(), hex), hex);
    assertFalse(isGeneric(SystemMachine.protected32(0), hex), hex);
  }

  @Test
  void memory_behind_segments_has_none() {
    assertTrue(isGeneric(SystemMachine.real(), "ff 07"));
    assertTrue(isGeneric(SystemMachine.v86(3), "f0 ff 07"));
  }
}
