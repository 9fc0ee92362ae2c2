package org.kvm4j.machine;

import com.sun.jna.Function;
import com.sun.jna.JNIEnv;
import com.sun.jna.Library;
import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.util.Map;

/**
 * Gives a native method machine code of ours as its body, as JNI's {@code RegisterNatives} does:
 * nothing is compiled or shipped, and a call costs some nanoseconds, without libffi.
 */
public final class JniMethod {
  /** Index of {@code RegisterNatives} in the JNI function table (JNI specification, chapter 4). */
  private static final int REGISTER_NATIVES = 215;

  private JniMethod() {}

  /**
   * {@code RegisterNatives(env, type, {name, signature, code}, 1)}.
   *
   * @param type the class of a static native method
   * @param name the method's
   * @param signature its types, as JNI writes them
   * @param code the address of a function that takes the JNI environment, the class and then the
   *     method's parameters
   * @return false if the JVM refuses it
   */
  public static boolean bind(Class<?> type, String name, String signature, long code) {
    Pointer environment = new Pointer(Libc.labs(JNIEnv.CURRENT));
    Function registerNatives =
        Function.getFunction(
            environment.getPointer(0).getPointer((long) REGISTER_NATIVES * Long.BYTES));
    try (Memory names = new Memory(name.length() + 1L);
        Memory signatures = new Memory(signature.length() + 1L);
        Memory method = new Memory(3L * Long.BYTES)) {
      names.setString(0, name);
      signatures.setString(0, signature);
      method.setPointer(0, names);
      method.setPointer(8, signatures);
      method.setLong(16, code);
      Object result =
          registerNatives.invoke(
              int.class,
              new Object[] {environment, type, method, 1},
              Map.of(Library.OPTION_ALLOW_OBJECTS, true));
      return result.equals(0);
    }
  }
}
